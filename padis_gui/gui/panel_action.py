"""Actions of a panel: their keys work while the keyboard is in it."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget


def panel_action(
    panel: QWidget, prefix: str, text: str, tip: str, keys: str, slot: Callable[[], object]
) -> QAction:
    """An action whose key works within ``panel`` only; its object's name is the prefix and the text."""
    action = QAction(text, panel)
    action.setObjectName(f"{prefix}_" + text.replace("&", "").replace("…", "").lower().replace(" ", "_"))
    action.setToolTip(f"{tip} ({keys})" if keys else tip)
    if keys:
        action.setShortcut(QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    action.triggered.connect(lambda _checked=False: slot())
    panel.addAction(action)
    return action
