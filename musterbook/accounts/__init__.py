"""Access: invitation, registration, sign-in, second factors, sessions, and the emails about them."""
