"""Imports of files, bulk actions and undos: submitted, queued, run, stored and shown."""
