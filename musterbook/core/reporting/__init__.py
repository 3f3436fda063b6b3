"""Step 5: what a Plan looks like to people and programs."""
