"""The parts of a request that pages and the API share: its context, session, limits and re-authentication."""
