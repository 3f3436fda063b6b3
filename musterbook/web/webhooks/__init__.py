"""The pages of webhooks: the list, one webhook with its messages, its form, and what can be done with it."""
