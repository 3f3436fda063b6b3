"""Pages of sign-in, registration, and the user's own account."""
