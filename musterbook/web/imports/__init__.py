"""Import Users, and what came of it."""
