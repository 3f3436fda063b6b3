"""Functions for one value, or for one column of values."""
