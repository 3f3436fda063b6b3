"""Step 3: a CheckedTable, a Snapshot and a Policy become a Plan."""
