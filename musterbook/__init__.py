"""Musterbook: a directory of an agency's users, kept up to date by bulk import."""

__version__ = "0.1.0"
