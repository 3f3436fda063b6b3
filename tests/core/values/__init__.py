"""Tests of `musterbook.core.values`."""
