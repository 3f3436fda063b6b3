"""The directory: its tables, and all that may be done to them."""
