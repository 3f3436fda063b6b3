"""The command line, held to its contract."""
