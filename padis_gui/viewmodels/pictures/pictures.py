"""The pictures there are to look at, by source: pixels, captions, levels, colours. Panes and tools read them here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Mask, Pixels
from padis_gui.viewmodels.pictures.frames import IteratePictures
from padis_gui.viewmodels.pictures.levels import Levels, Range, signed_difference
from padis_gui.viewmodels.pictures.profiles import Spacing
from padis_gui.viewmodels.pictures.sources import Lattice, PaneSource, Scale, SourceList

# A picture, or what makes it the first time that somebody looks
LazyPicture = Pixels | Callable[[], Pixels | None]

GREY, INVERTED, DIVERGING, RAMP = "Grey", "Inverted grey", "Blue, white, red", "Viridis"
_DEFAULT_COLOURS = {
    Scale.IMAGE: GREY,
    Scale.SIGNED: DIVERGING,
    Scale.MISFIT: DIVERGING,
    Scale.MEASURED: RAMP,
    Scale.MAGNITUDE: RAMP,
}


RUN_KEYS = ("estimate", "state", "denoised", "difference", "deviation", "measured", "misfit")


def pictures_of(frame: IteratePictures, measurement: Pixels | None) -> dict[str, LazyPicture | None]:
    """The pictures of one iterate by source; ``measurement`` is what the data residual is taken from."""
    measured = frame.measured
    misfit: LazyPicture | None = None
    if measured is not None and measurement is not None and measured.shape == measurement.shape:
        misfit = partial(signed_difference, measured, measurement)  # only where somebody looks at it
    return {
        "estimate": frame.estimate, "state": frame.state, "denoised": frame.denoised,
        "difference": frame.difference, "deviation": frame.deviation, "measured": measured, "misfit": misfit,
    }  # fmt: skip


_MANY = 1e7  # from here on a number has an exponent


def value_text(pixels: Pixels, row: int, column: int) -> str:
    """The value of a pixel as text, those of a colour picture with slashes between; empty outside."""
    if not (0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1]):
        return ""
    value = pixels[row, column]
    return _number(value, 4) if np.ndim(value) == 0 else "/".join(_number(v, 3) for v in value)


def _number(value: float, digits: int) -> str:
    """So many digits, and those of a large whole number, such as one of 16 bits, all."""
    whole = 10.0**digits <= abs(value) < _MANY
    return (f"{value:.0f}" if whole else f"{value:.{digits}g}").replace("-", "−")


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a picture is shown: its levels and the name of its colour map."""

    levels: Range
    colours: str


class PictureSet(QObject):
    """``changed`` carries the keys whose pictures are new, ``captioned`` those whose captions are, ``restyled`` comes
    for levels and colours, ``told`` for what is said in the place of a picture or over it, ``listed`` when sources
    came, went, or are called otherwise. ``wanted`` carries the key of a source whose picture somebody asks for, where
    that was offered."""

    changed = Signal(object)
    captioned = Signal(object)
    wanted = Signal(str)
    restyled = Signal()
    told = Signal()
    listed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sources = SourceList()
        self.levels = Levels()
        self._pictures: dict[str, LazyPicture] = {}
        self._captions: dict[str, str] = {}
        self._empty_texts: dict[str, str] = {}
        self._stale: dict[str, str] = {}
        self._missing: dict[str, Mask] = {}
        self._offers: dict[str, str] = {}
        self._colours: dict[str, str] = {}
        self.unit = ""
        self.spacing: Spacing | None = None
        self._pitches: dict[str, Spacing | None] = {}
        self.window: Range = (0.0, 1.0)

    def describe(
        self,
        unit: str,
        spacing: Spacing | None,
        window: Range,
        planes: Mapping[Lattice, Spacing | None] | None = None,
    ) -> None:
        """What the images' numbers mean: unit, pixel pitch (rows, columns) in mm, the intensities of 0 and 1.

        ``planes`` are the pitches of the other planes of a volume.
        """
        pitches = {Lattice.IMAGE.value: spacing} | {
            each.value: pitch for each, pitch in (planes or {}).items()
        }
        if (unit, pitches, window) != (self.unit, self._pitches, self.window):
            self.unit, self.spacing, self.window, self._pitches = unit, spacing, window, pitches
            self.restyled.emit()

    def pitch(self, lattice: str) -> Spacing | None:
        """Pixel pitch (rows, columns) in mm of pictures on that lattice, by its value; None where it is not known."""
        return self._pitches.get(lattice)

    def aspect(self, source: PaneSource) -> float:
        """How wide a pixel of a source's pictures is for its height; 1 where that is not known."""
        rows, columns = self.pitch(source.lattice.value) or (1.0, 1.0)
        return columns / rows

    # Sources --------------------------------------------------------------------------------------

    def register(self, source: PaneSource) -> None:
        """Offer another source in every pane, or replace the one with its key."""
        self.sources.add(source)
        self.listed.emit()

    def offer_all(self, sources: Iterable[PaneSource]) -> None:
        """Offer several at once."""
        for source in sources:
            self.sources.add(source)
        self.listed.emit()

    def withdraw_all(self, keys: Iterable[str]) -> None:
        """Take several away at once."""
        for key in keys:
            self._pictures.pop(key, None)
            self.sources.remove(key)
        self.listed.emit()

    def unregister(self, key: str) -> None:
        """Take a source away again; what showed it shows something else."""
        self._pictures.pop(key, None)
        self.sources.remove(key)
        self.levels.forget(key)
        self.listed.emit()

    def rename(self, names: Mapping[str, str]) -> None:
        """Call these sources by other names."""
        for key, label in names.items():
            self.sources.rename(key, label)
        self.listed.emit()

    def adapt(self, measurement: str, baseline: str, *, pictorial: bool) -> None:
        """Name the measurement and the baseline of a physics; see :meth:`SourceList.adapt`."""
        shapes = [None if p is None else p.shape for p in map(self.pixels, ("measurement", "baseline"))]
        on_image = pictorial and shapes[0] is not None and shapes[0] == shapes[1]
        before = list(self.sources)
        self.sources.adapt(measurement, baseline, pictorial=pictorial, on_image=on_image)
        if list(self.sources) != before:
            self.listed.emit()

    # Pictures -------------------------------------------------------------------------------------

    def set_pictures(self, pictures: Mapping[str, LazyPicture | None]) -> None:
        """Replace these sources' pictures; None clears one. Nobody may write on them any more."""
        others = {key: picture for key, picture in pictures.items() if picture is not self._pictures.get(key)}
        for key, picture in others.items():
            if picture is None:
                self._pictures.pop(key, None)
                if key in self.sources:
                    self.levels.lose(self.sources[key])
            else:
                self._pictures[key] = picture
        if others:
            self.changed.emit(tuple(others))

    def pixels(self, key: str) -> Pixels | None:
        """What there is to see of a source now; made now where it waited for somebody to look."""
        picture = self._pictures.get(key)
        if callable(picture):
            made = picture()
            if made is None:
                del self._pictures[key]
                return None
            self._pictures[key] = picture = made
        if picture is not None and key in self.sources:
            self.levels.meet(self.sources[key], picture)
        return picture

    def has(self, key: str) -> bool:
        """Whether there is something to see, or may be."""
        return key in self._pictures

    def is_made(self, key: str) -> bool:
        """Whether a picture is in memory, not only what would make it."""
        return key in self._pictures and not callable(self._pictures[key])

    # Texts ----------------------------------------------------------------------------------------

    def set_captions(self, captions: Mapping[str, str]) -> None:
        """A short text beside the name of each of these sources."""
        others = {key: text for key, text in captions.items() if self.caption(key) != text}
        if others:
            self._captions.update(others)
            self.captioned.emit(tuple(others))

    def caption(self, key: str) -> str:
        """The short text of a source, empty where it has none."""
        return self._captions.get(key, "")

    def set_stale(self, texts: Mapping[str, str]) -> None:
        """The sources whose pictures do not belong to the present choices, each with a few words that say so.

        All others are what they are called.
        """
        if dict(texts) != self._stale:
            self._stale = dict(texts)
            self.told.emit()

    def stale_text(self, key: str) -> str:
        """Why a source's picture does not belong to the present choices; empty where it does, or there is none."""
        return self._stale.get(key, "") if self.has(key) else ""

    def set_missing(self, masks: Mapping[str, Mask]) -> None:
        """Of which pixels these sources' pictures have no measurement: True in (rows, columns). Others lack none."""
        self._missing = dict(masks)
        self.restyled.emit()

    def missing(self, key: str) -> Mask | None:
        """Which pixels of a source's picture were not measured."""
        return self._missing.get(key)

    def set_empty_texts(self, texts: Mapping[str, str], offers: Mapping[str, str] | None = None) -> None:
        """What to say for a source while it has no picture, and by which words that is offered, if it can be made."""
        if (texts, offers or {}) != (self._empty_texts, self._offers):
            self._empty_texts, self._offers = dict(texts), dict(offers or {})
            self.told.emit()

    def offer(self, key: str) -> str:
        """By which words the picture of an empty source is offered; "" where it is not."""
        return "" if self.has(key) else self._offers.get(key, "")

    def empty_text(self, key: str) -> str:
        """What to say where there is nothing to see; empty where there is something."""
        return "" if self.has(key) else self._empty_texts.get(key, "There is nothing here yet")

    # Looks ----------------------------------------------------------------------------------------

    def look(self, source: PaneSource) -> Appearance:
        """The levels and colours in common for this source."""
        return Appearance(
            self.levels.of(source), self._colours.get(source.levels_group, _DEFAULT_COLOURS[source.scale])
        )

    def set_levels(self, source: PaneSource, levels: Range) -> None:
        """Set the levels in common of this source's group by hand."""
        self.levels.set(source, levels)
        self.restyled.emit()

    def propose_levels(self, levels: Mapping[str, Range], *, forget: Iterable[str] = ()) -> None:
        """Levels for groups that nobody has set by hand; those in ``forget`` lose what was set."""
        before = self.levels.state
        self.levels.forget(*forget)
        for group, range_ in levels.items():
            self.levels.propose(group, range_)
        if self.levels.state != before:
            self.restyled.emit()

    def set_colours(self, source: PaneSource, name: str) -> None:
        """The colour map in common of this source's group."""
        self._colours[source.levels_group] = name
        self.restyled.emit()

    @property
    def colours(self) -> dict[str, str]:
        """Colour maps chosen by hand, by group."""
        return dict(self._colours)

    @colours.setter
    def colours(self, chosen: Mapping[str, str]) -> None:
        self._colours = dict(chosen)
        self.restyled.emit()
