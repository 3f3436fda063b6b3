"""The configuration of an agency."""
