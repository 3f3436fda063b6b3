"""The API for programs with a token. It only translates between JSON and the actions of Musterbook."""
