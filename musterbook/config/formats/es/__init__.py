"""Formats for Spanish."""
