"""The plans of files of groups, of their members and monitors, of roles and of ranks."""
