"""Turn text into vectors; embed and search text files."""
