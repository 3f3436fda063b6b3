"""Our own template tags and filters."""
