"""How bytes and frames reach the disk and the database. There are no rules here."""
