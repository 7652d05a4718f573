"""What panes show instead of a truth where there is none: a real measurement is open."""

from PySide6.QtCore import QObject

from padis_gui.gui.panes._j_image_pane__gui_viewers_image_pane import ImagePane
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session

_INSTEAD = {"truth": "measurement", "difference": "misfit"}


class TruthSubstitutes(QObject):
    """Exchanges the panes' sources when a measurement is opened, and puts back those left alone when an image is."""

    def __init__(self, session: Session, panes: PaneGrid) -> None:
        super().__init__(panes)
        self._session, self._panes = session, panes
        self._measured = False
        self._exchanged: list[tuple[ImagePane, str]] = []
        session.data.changed.connect(self._follow)

    def _follow(self) -> None:
        image = self._session.data.image
        measured = image is not None and image.measured is not None
        if measured == self._measured:
            return
        self._measured = measured
        if measured:
            self._exchanged = [(pane, pane.source) for pane in self._panes.panes if pane.source in _INSTEAD]
            for pane, key in self._exchanged:
                pane.show_source(_INSTEAD[key])
            return
        for pane, key in self._exchanged:
            if pane in self._panes.panes and pane.source == _INSTEAD[key]:
                pane.show_source(key)
        self._exchanged = []
