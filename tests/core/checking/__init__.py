"""Tests of `musterbook.core.checking`."""
