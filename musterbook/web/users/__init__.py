"""All Users, one user, and what is done to many."""
