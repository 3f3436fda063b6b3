"""The pages: they translate between browsers and what can be done, and nothing else."""
