"""Tests of `musterbook.directory.installation`."""
