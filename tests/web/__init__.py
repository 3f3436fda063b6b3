"""Tests of the pages, as browsers have them."""
