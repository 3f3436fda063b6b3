"""Step 4: the only writer of users, and what it needs."""
