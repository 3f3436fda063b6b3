"""The database of the installation, backups, keys, and the doctor."""
