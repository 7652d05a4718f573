"""The window: widgets without mathematics."""
