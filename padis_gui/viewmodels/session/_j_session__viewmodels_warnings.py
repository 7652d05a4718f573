"""What a run warns of in its thread, said in the window: that memory ran out and smaller batches go on, say."""

import logging
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from padis_gui.viewmodels.session.workspace import Workspace

_SOURCE = "padis_gui.core.prior.prior"


class _Handler(logging.Handler):
    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


class Warnings(QObject):
    """Turns the prior's log of warnings into messages of a session, until it closes."""

    _said = Signal(str)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._said.connect(self._say)  # in the window's thread, wherever it was said
        handler = _Handler(self._said.emit)
        logger = logging.getLogger(_SOURCE)
        logger.addHandler(handler)
        workspace.closing.connect(lambda: logger.removeHandler(handler))

    def _say(self, text: str) -> None:
        self._workspace.message.emit("warning", text, "")
