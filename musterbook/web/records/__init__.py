"""Pages of the audit trail and of API access."""
