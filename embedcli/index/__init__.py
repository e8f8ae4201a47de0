"""Vectors and text to and from one local file."""
