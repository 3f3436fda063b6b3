"""Tests of accounts: who comes in, and who does not."""
