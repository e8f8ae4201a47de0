"""Evaluations: one module for each subcommand of `eval`."""
