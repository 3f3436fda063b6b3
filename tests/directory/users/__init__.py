"""Tests of `musterbook.directory.users`."""
