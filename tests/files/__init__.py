"""Awkward files."""
