"""Tests of `musterbook.core.planning`."""
