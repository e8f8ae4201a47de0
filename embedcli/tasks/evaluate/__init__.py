"""Measuring encoders and searches on the user's own data: one module for each command of `eval`."""
