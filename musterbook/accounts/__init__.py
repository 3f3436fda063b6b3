"""Who may come in: invitation, registration, sign-in, second factors, sessions, and the mails that tell of them."""
