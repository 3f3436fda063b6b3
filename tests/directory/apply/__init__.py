"""Tests of `musterbook.directory.apply`."""
