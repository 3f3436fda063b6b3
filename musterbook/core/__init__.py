"""The rules of the import, pure: values in, values out; no database, no web, no clock."""
