"""Rows that ship with a package or are downloaded."""
