"""What is kept of what was done, and who may ask by program."""
