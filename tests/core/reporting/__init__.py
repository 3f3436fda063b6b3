"""Tests of `musterbook.core.reporting`."""
