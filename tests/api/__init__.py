"""The API, as programs ask it, and as attackers do."""
