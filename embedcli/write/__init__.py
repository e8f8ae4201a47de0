"""Results to text or bytes."""
