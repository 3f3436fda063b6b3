"""Tests of `musterbook.core`."""
