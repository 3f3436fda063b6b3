"""Pages of Import Users and of the import history."""
