"""The description of the API that the client is made from: its answers, its bodies and its operations."""
