"""How the window is arranged, kept in the preferences; whatever of it cannot be used has its default."""

import json
from base64 import b64decode, b64encode

from PySide6.QtCore import QByteArray
from PySide6.QtWidgets import QMainWindow

from padis_gui.gui.frame._j_reconstruct__gui_viewers_arrangement import arrangement_of, rearrange
from padis_gui.gui.frame._j_reconstruct__gui_workbench import ReconstructPage
from padis_gui.gui.kit._j_widgets__gui_section import Section
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences


def restore_window(window: QMainWindow, bench: ReconstructPage, preferences: Preferences) -> None:
    """The window as it was left."""
    kept = preferences.window
    if kept("geometry"):
        window.restoreGeometry(QByteArray(_decoded(kept("geometry"))))
    if kept("layout"):
        bench.docks.restore(_decoded(kept("layout")))
    bench.curves.choose(kept("curves").split(","))
    rearrange(bench.panes, _read_json(kept("panes")))
    folded = kept("folded").split(",")
    for section in bench.findChildren(Section):
        section.fold(section.title in folded)


def keep_window(window: QMainWindow, bench: ReconstructPage, preferences: Preferences) -> None:
    """Remember it for the next start."""
    preferences.keep_window(
        geometry=b64encode(window.saveGeometry().data()).decode(),
        layout=b64encode(bench.docks.save()).decode(),
        curves=",".join(bench.curves.chosen),
        panes=json.dumps(arrangement_of(bench.panes)),
        folded=",".join(s.title for s in bench.findChildren(Section) if s.is_folded),
    )
    preferences.save()


def _read_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
