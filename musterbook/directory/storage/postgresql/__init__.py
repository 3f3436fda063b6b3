"""PostgreSQL as Django's database engine, with the agency that each statement may reach."""
