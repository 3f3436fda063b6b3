"""What an agency is: its settings, roles, ranks and groups."""
