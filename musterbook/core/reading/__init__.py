"""Step 1: bytes become a Table."""
