"""What setting up, checking, testing and trying out need; standard library alone."""
