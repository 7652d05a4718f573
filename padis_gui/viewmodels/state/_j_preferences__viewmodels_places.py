"""Where the program keeps what it remembers: preferences, the log, the last session, measured times."""

import os
from pathlib import Path

from PySide6.QtCore import QStandardPaths

# Names another folder for all of it; tests and benchmarks set it, so that they leave the user's own alone.
HOME_VARIABLE = "PADIS_GUI_HOME"


def user_folder() -> Path:
    """The folder of everything that the program remembers; it need not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    standard = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(standard) / "padis_gui"
