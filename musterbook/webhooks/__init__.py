"""The sending of webhooks: which worker sends to which endpoint, each request, and what follows from its answer."""
