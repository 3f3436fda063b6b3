"""The fault harness, and books that can fail."""
