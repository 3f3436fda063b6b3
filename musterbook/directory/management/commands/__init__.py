"""Django's own commands, with what the directory adds to them."""
