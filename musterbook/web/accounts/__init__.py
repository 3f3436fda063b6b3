"""Coming in, and what users keep for themselves."""
