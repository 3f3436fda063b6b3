"""What the directory adds to Django's own commands."""
