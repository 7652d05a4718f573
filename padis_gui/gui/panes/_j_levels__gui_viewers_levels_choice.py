"""The window's short list of levels: the image's window, the truth's 1 to 99 %, Hounsfield presets, or by hand."""

from PySide6.QtCore import QObject, QSignalBlocker
from PySide6.QtWidgets import QComboBox

from padis_gui.viewmodels.pictures._j_levels__viewmodels_levels import HU_PRESETS, Range
from padis_gui.viewmodels.pictures.pictures import Gallery
from padis_gui.viewmodels.pictures.sources import Scale
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session

FULL_WINDOW, ROBUST_TRUTH, BY_HAND = "Full range", "1–99 % of truth", "By hand"
_IMAGE = Scale.IMAGE.value


class LevelsChoice(QObject):
    """Fills a box with what fits the open image, and sets the levels in common. They never move by themselves."""

    def __init__(self, session: Session, gallery: Gallery, box: QComboBox) -> None:
        super().__init__(box)
        self._session, self._gallery, self._box = session, gallery, box
        self._scale: tuple[str, Range] | None = None
        self._physics: str | None = None
        box.setPlaceholderText(BY_HAND)
        box.currentIndexChanged.connect(self._choose)
        gallery.restyled.connect(self._follow)
        session.data.changed.connect(self._offer)
        session.preparation.changed.connect(self._propose)
        self._offer()

    def _offer(self) -> None:
        """Another image; levels set by hand hold on where its numbers mean the same."""
        image = self._session.data.image
        scale = ("", (0.0, 1.0)) if image is None else (image.unit, image.window)
        if scale == self._scale:
            return
        self._scale, unit = scale, scale[0]
        with QSignalBlocker(self._box):
            self._box.clear()
            self._box.addItems([FULL_WINDOW, ROBUST_TRUTH, *(HU_PRESETS if unit == "HU" else ())])
            self._box.setCurrentIndex(0)
        self._gallery.propose_levels({}, forget=[scale.value for scale in Scale])

    def _propose(self) -> None:
        """A problem is prepared: its image's levels, and those of its measurement."""
        pictures = self._session.preparation.pictures
        if pictures is None:
            return
        proposals, measurement = {_IMAGE: self._wanted()}, pictures.measurement
        if measurement is not None and measurement.size:
            proposals[Scale.MEASURED.value] = (min(0.0, float(measurement.min())), float(measurement.max()))
        physics = pictures.prepared.method.physics
        other, self._physics = physics != self._physics, physics
        self._gallery.propose_levels(
            proposals, forget=(Scale.MEASURED.value, Scale.MISFIT.value) if other else ()
        )

    def _wanted(self) -> Range:
        pictures, name = self._session.preparation.pictures, self._box.currentText()
        if name in HU_PRESETS:
            return HU_PRESETS[name]
        if pictures is None:
            return 0.0, 1.0
        return pictures.robust_range if name == ROBUST_TRUTH else pictures.prepared.image.window

    def _choose(self, index: int) -> None:
        if index >= 0 and self._session.preparation.prepared is not None:
            self._gallery.propose_levels({_IMAGE: self._wanted()}, forget=(_IMAGE,))

    def _follow(self) -> None:
        """Somebody has set levels by hand: none of the list's."""
        if self._box.currentIndex() >= 0 and _IMAGE in self._gallery.levels.by_hand:
            with QSignalBlocker(self._box):
                self._box.setCurrentIndex(-1)
