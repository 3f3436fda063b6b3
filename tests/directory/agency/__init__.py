"""Tests of `musterbook.directory.agency`."""
