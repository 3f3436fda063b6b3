"""The directory and all that may be done to it."""
