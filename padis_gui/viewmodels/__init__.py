"""What the window knows and can do, on QtCore alone."""

# torch comes before any Qt import: on Windows the other order clashes (pytorch #166628)
import torch  # noqa: F401
