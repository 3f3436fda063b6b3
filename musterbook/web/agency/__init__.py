"""Pages of an agency's settings, roles, ranks, and groups."""
