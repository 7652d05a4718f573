"""What the window knows and can do, on QtCore alone."""
