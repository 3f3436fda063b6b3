"""Feeds: files that arrive without a person, and are imported within limits."""
