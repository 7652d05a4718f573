"""The boundary laboratory: overlay, seam maps and curves of what is shown.

What is drawn over an image of the tiling: the present one, earlier ones, and where seams have been.

The boundary laboratory: overlay of tilings, maps of seams, and how much two offsets of the grid disagree.

Maps are computed in the I/O thread, disagreement in the compute thread (it calls the denoiser twice); the window gets
finished pictures. Everything follows the shown iterate, in a run under way and along the history.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Pixels
from padis_gui.core.images.metrics import Spectrum
from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.settings.declarations import Settings, make, setting
from padis_gui.viewmodels.laboratory.export import PictureStack
from padis_gui.viewmodels.laboratory.seam_maps import (
    COVERAGE,
    DISAGREEMENT,
    SEAMS,
    SEAMS_DENOISED,
    Coverage,
    Disagreement,
    MapRequest,
    Maps,
    make_maps,
    measure_disagreement,
)
from padis_gui.viewmodels.pictures.frames import CurvePoint, IteratePictures
from padis_gui.viewmodels.session.following import ShownUpdates
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Failure


class OverlaySettings(Settings):
    """What the overlay of the tiling shows, besides the tiles themselves."""

    border: bool = setting(
        True, label="Padding border", symbol="M", help="The edge of the zero padding around the image, dashed"
    )
    offset: bool = setting(
        False,
        label="Offset",
        symbol="(a, b)",
        unit="px",
        help="Where the grid starts on the padded image: row, column",
    )
    numbers: bool = setting(
        False, label="Tile numbers", help="Each tile's number, where the tiles are large enough on the screen"
    )
    trails: int = setting(
        0, ge=0, le=50, label="Trails", unit="steps",
        help="Draw the tilings of so many earlier steps too, the older the fainter",
    )  # fmt: skip
    heat: bool = setting(
        False,
        label="Heat map",
        help="How often each pixel has lain beside a tile border up to the shown step",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """One picture of the overlay, the same only as itself.

    ``trail`` holds earlier tilings, the oldest first; ``heat`` (rows, columns) in [0, 1] is transparent at 0;
    ``inspected`` is a tile on the padded image that is set off from the others. ``outside`` keeps the lines out of the
    image, but for its margin, so that they do not hide seams.
    """

    partition: Partition
    trail: tuple[Partition, ...] = ()
    heat: NDArray[np.float32] | None = None
    inspected: Box | None = None
    border: bool = True
    offset: bool = False
    numbers: bool = False
    outside: bool = False


_PACE_MS = 500


class Laboratory(QObject):
    """``overlay_changed`` comes when the overlay is to be drawn anew, ``maps_changed`` when a map is another one, and
    ``measured`` when a disagreement came.

    Maps are made only of those kinds that are :meth:`want`\\ ed.
    """

    overlay_changed = Signal()
    maps_changed = Signal()
    measured = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.settings = OverlaySettings()
        self.maps: dict[str, Pixels] = {}
        self.coverage: Coverage | None = None
        self.measuring = False
        self.inspected: Callable[[], Box | None] = lambda: None  # a tile to set off from the others
        self._watched = False
        self._wanted: frozenset[str] = frozenset()
        self._ratios: tuple[IteratePictures, tuple[float, float]] | None = (
            None  # seam ratios of x̂₀ and D of a frame
        )
        self._spectrum: tuple[IteratePictures, Spectrum | None] | None = None  # of the error of a frame
        self._on_request: dict[int, Disagreement] = {}  # of the shown run, by step
        self._heat: tuple[Coverage, NDArray[np.float32]] | None = None
        self._history = session.shown.history
        self._updates = ShownUpdates(session, _PACE_MS)
        self._updates.due.connect(self._ask_for_maps)
        session.shown.changed.connect(self._show_another)

    # The overlay ----------------------------------------------------------------------------------

    def set_overlay(self, name: str, value: Any) -> None:
        """Change one setting of the overlay."""
        self.settings = make(OverlaySettings, self.settings.model_dump() | {name: value})
        self._follow_if_wanted()
        self.overlay_changed.emit()

    def overlay(self, frame: IteratePictures | None) -> Overlay | None:
        """What to draw over a frame of the shown run; None where it has no tiling."""
        if frame is None or frame.partition is None:
            return None
        settings = self.settings
        return Overlay(
            partition=frame.partition, trail=self._trail(frame.step), heat=self._heat_map(), inspected=self.inspected(),
            border=settings.border, offset=settings.offset, numbers=settings.numbers,
        )  # fmt: skip

    def _trail(self, step: int) -> tuple[Partition, ...]:
        if not self.settings.trails:
            return ()
        earlier = [
            p.partition
            for p in self._session.shown.history.points
            if p.step < step and p.partition is not None
        ]
        return tuple(earlier[-self.settings.trails :])

    def _heat_map(self) -> NDArray[np.float32] | None:
        coverage = self.coverage
        if not self.settings.heat or coverage is None or not coverage.most:
            return None
        if self._heat is None or self._heat[0] is not coverage:
            self._heat = coverage, (coverage.count / coverage.most).astype(np.float32)
        return self._heat[1]

    # Maps -----------------------------------------------------------------------------------------

    def want(self, maps: Iterable[str]) -> None:
        """Make these maps of what is shown, and no others."""
        wanted = frozenset(maps)
        if wanted != self._wanted:
            more = not wanted <= self._wanted
            self._wanted = wanted
            self._follow_if_wanted()
            if more:
                self._ask_for_maps()

    def watch(self, watched: bool) -> None:
        """Whether somebody reads the numbers of the shown step."""
        self._watched = watched
        self._follow_if_wanted()

    def _follow_if_wanted(self) -> None:
        needed = bool(self._wanted) or self.settings.heat or self._watched
        began = needed and not self._updates.wanted
        self._updates.wanted = needed
        if began or (self.settings.heat and self.coverage is None):
            self._ask_for_maps()

    def _show_another(self) -> None:
        """Another run or step is shown: what belongs to the run before goes at once."""
        if self._session.shown.history is not self._history:
            self._history = self._session.shown.history
            self._on_request.clear()
            self.maps, self.coverage, self._heat = {}, None, None
            self.measuring = False
            self.maps_changed.emit()
        self.overlay_changed.emit()

    def _ask_for_maps(self) -> None:
        session = self._session
        frame, prepared = session.screen.frame(), session.screen.prepared
        if frame is None:
            return
        request = MapRequest(
            history=session.shown.history, frame=frame, points=session.shown.history.points, before=self.coverage,
            maps=self._wanted | ({COVERAGE} if self.settings.heat else set()),
            truth=None if prepared is None else prepared.problem.truth,
            image=None if prepared is None else prepared.image,
        )  # fmt: skip
        session.io_requests.ask("maps", lambda check: make_maps(request), self._take_maps)

    def _take_maps(self, made: Maps | Failure | None) -> None:
        if made is None:
            return
        if isinstance(made, Failure):
            self._session.message.emit("error", made.sentence, made.details)
            return
        if made.coverage is not None and made.coverage.history is self._session.shown.history:
            self.coverage = made.coverage
        self.maps, self._ratios = dict(made.maps), (made.frame, made.ratios)
        self._spectrum = made.frame, made.spectrum
        if (found := self.disagreement) is not None:
            self.maps[DISAGREEMENT] = found.pixels
        self.maps_changed.emit()
        if self.settings.heat:
            self.overlay_changed.emit()

    # Disagreement ---------------------------------------------------------------------------------

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """The shown run's points, with what was measured on request."""
        points = self._session.shown.history.points
        if not self._on_request:
            return points
        return tuple(
            replace(p, disagreement=self._on_request[p.step].rms) if p.step in self._on_request else p
            for p in points
        )

    @property
    def disagreement(self) -> Disagreement | None:
        """The shown step's; None where it was not measured."""
        frame = self._session.screen.frame()
        if frame is None:
            return None
        if frame.step in self._on_request:
            return self._on_request[frame.step]
        point = self._session.shown.history.point_at(frame.step)
        if frame.disagreement is None or point is None:
            return None
        return Disagreement(
            step=frame.step, sigma=frame.sigma, pixels=frame.disagreement, rms=point.disagreement
        )

    @property
    def measurable(self) -> bool:
        """Whether the shown step has a denoiser call to repeat."""
        frame = self._session.screen.frame()
        return frame is not None and frame.call is not None and self._session.screen.same_prior

    @property
    def every(self) -> int:
        """So many steps lie between two measurements during a run; 0 for none."""
        return self._session.run.disagreement_every

    def measure_every(self, steps: int) -> None:
        """Measure the disagreement after every so many steps of a run; 0 for on request only."""
        self._session.run.disagreement_every = max(0, steps)

    def measure(self) -> None:
        """Measure the disagreement at the shown step: two denoiser calls in the compute thread."""
        frame, prior, prepared = (
            self._session.screen.frame(),
            self._session.prior.loaded,
            self._session.screen.prepared,
        )
        if frame is None or frame.call is None or prior is None or prepared is None or not self.measurable:
            self._session.message.emit(
                "warning",
                "There is no denoiser call of the open prior to repeat at this step; run a method that uses it.",
                "",
            )
            return
        call, image, history = frame.call, prepared.image, self._session.shown.history
        self.measuring = True

        def done(found: Disagreement | Failure | None) -> None:
            self.measuring = False
            if isinstance(found, Failure):
                self._session.message.emit("error", found.sentence, found.details)
            elif found is not None and history is self._session.shown.history:
                self._on_request[found.step] = found
                self.maps[DISAGREEMENT] = found.pixels
                self.maps_changed.emit()
            self.measured.emit()

        self._session.compute_requests.ask(
            "disagreement", lambda check: measure_disagreement(prior, call, image, frame.step, check), done
        )
        self.measured.emit()

    def values(self) -> dict[str, float]:
        """The shown step's seam ratios and disagreement, those that are known, by the names of a point's fields."""
        frame, found = self._session.screen.frame(), self.disagreement
        if frame is None:
            return {}
        point = self._session.shown.history.point_at(frame.step)
        ratios = (math.nan, math.nan) if point is None else (point.seam_ratio, point.seam_denoised)
        if self._ratios is not None and self._ratios[0] is frame:
            ratios = self._ratios[1]
        rms = math.nan if found is None else found.rms
        values = {"seam_ratio": ratios[0], "seam_denoised": ratios[1], "disagreement": rms}
        return {name: value for name, value in values.items() if not math.isnan(value)}

    @property
    def spectrum(self) -> Spectrum | None:
        """The power of the shown estimate's error by frequency; None while it is not made, or where no truth is known."""
        frame = self._session.screen.frame()
        return self._spectrum[1] if self._spectrum is not None and self._spectrum[0] is frame else None

    def captions(self) -> dict[str, str]:
        """What to say beside each map."""
        values, coverage = self.values(), self.coverage
        texts = {
            SEAMS: ("seam_ratio", "seam ratio {:.2f}"), SEAMS_DENOISED: ("seam_denoised", "seam ratio {:.2f}"),
            DISAGREEMENT: ("disagreement", "rms {:.2g}"),
        }  # fmt: skip
        said = {
            key: text.format(values[name]) if name in values else "" for key, (name, text) in texts.items()
        }
        return said | {
            COVERAGE: "" if coverage is None else f"at most {coverage.most} of {coverage.steps} steps"
        }

    # Export ---------------------------------------------------------------------------------------

    def pages(self) -> PictureStack | None:
        """All maps of the shown step that were made, as pages; None while there are none."""
        frame = self._session.screen.frame()
        if frame is None or frame.partition is None or not self.maps:
            return None
        partition, steps = frame.partition, 0 if self.coverage is None else self.coverage.steps
        return PictureStack(
            name="seam maps", pictures=dict(self.maps), metrics=self.values(),
            details={
                "step": frame.step, "sigma": frame.sigma, "patch": partition.patch, "offset": list(partition.offset),
                "coverage_steps": steps,
            },
        )  # fmt: skip
