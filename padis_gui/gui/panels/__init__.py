"""Docks and sections of the window."""
