"""CSV file readers."""
