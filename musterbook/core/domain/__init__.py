"""The terms that every step of an import uses."""
