"""What the window knows and can do, on QtCore alone."""

# torch comes before any Qt import: on Windows the other order clashes (pytorch #166628)
from padis_gui.core import torch

TORCH = torch.__version__  # asking imports it
