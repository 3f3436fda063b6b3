"""One value at a time, or one column of them."""
