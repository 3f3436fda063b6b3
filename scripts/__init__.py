"""Setup, checks, tests and the trial of a checkout; they use the standard library alone."""
