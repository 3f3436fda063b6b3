"""Formats of numbers and dates where Django's own differ from what readers in the United States know."""
