"""Forward operators: one physics a file."""
