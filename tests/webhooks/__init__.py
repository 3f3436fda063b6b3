"""Webhooks, from what happens to the message at a receiver."""
