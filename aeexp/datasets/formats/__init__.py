"""Rows that a user brings."""
