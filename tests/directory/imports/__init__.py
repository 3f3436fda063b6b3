"""Tests of `musterbook.directory.imports`."""
