"""The web pages. They translate between browsers and the use cases, and do nothing else."""
