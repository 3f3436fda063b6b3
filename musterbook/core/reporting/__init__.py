"""Step 5: a Plan as people and programs see it."""
