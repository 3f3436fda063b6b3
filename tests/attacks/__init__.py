"""Attacks, as an outsider would make them: each must fail. `./test tests/attacks` runs them on both databases."""
