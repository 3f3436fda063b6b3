"""Tests of `musterbook.core.domain`."""
