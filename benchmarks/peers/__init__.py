"""Other programs that import users from a file, at their best, on the same users."""
