"""What `eval` measures: one module for each subcommand, and what they share."""
