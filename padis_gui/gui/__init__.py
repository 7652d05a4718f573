"""The window: widgets without mathematics."""

# torch comes before any Qt import, with the view models: on Windows the other order clashes (pytorch #166628)
import padis_gui.viewmodels  # noqa: F401
