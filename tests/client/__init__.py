"""The client: its description, its transports, and what programs do with it."""
