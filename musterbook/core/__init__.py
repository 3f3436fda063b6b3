"""The rules of the import, as pure functions without a database, the web or a clock."""
