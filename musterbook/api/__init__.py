"""The API: what programs ask for, with a token; it translates between JSON and what can be done, and nothing else."""
