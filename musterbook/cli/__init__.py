"""The command line: it translates, and nothing else."""
