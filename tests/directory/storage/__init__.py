"""Tests of `musterbook.directory.storage`."""
