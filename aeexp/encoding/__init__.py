"""A finished run on rows, new ones and its own."""
