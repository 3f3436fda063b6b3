"""Pages of All Users, of one user, and of bulk actions."""
