"""Tests of `musterbook.core.reading`."""
