"""Tests of the plans of files of groups, members, roles and ranks."""
