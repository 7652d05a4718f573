"""Dialogs; opened, never executed."""
