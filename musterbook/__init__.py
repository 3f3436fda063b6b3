"""Musterbook: an agency's users, kept true by bulk import."""

__version__ = "0.1.0"
