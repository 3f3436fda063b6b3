"""Tests of `musterbook.directory.audit`."""
