"""One user, the list of users, and the export."""
