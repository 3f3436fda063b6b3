"""Step 2: a Table becomes a CheckedTable."""
