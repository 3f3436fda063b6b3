"""Workbook readers."""
