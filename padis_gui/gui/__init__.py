"""The window: widgets without mathematics."""

# torch comes before any Qt import: on Windows the other order clashes (pytorch #166628)
import padis_gui.core.settings.machine  # noqa: F401
