"""The pages of feeds: the list, one feed with its files and settings, its forms, and what can be done with it."""
