"""Feeds, from a file that arrives to the end of its import."""
