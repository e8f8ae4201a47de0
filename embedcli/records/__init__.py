"""Bytes to records and chunks."""
