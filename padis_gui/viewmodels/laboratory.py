"""The boundary laboratory: overlay of tilings, maps of seams, and how much two offsets of the grid disagree.

Maps are computed in the I/O thread, disagreement in the compute thread (it calls the denoiser twice); the window gets
finished pictures. Everything follows the shown iterate, in a run under way and along the history.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.data.image import Image
from padis_gui.core.partition import Box, Partition
from padis_gui.core.prior import DenoiserCall, PatchPrior
from padis_gui.core.seams import disagreement_at, seam_coverage, seam_map
from padis_gui.core.settings import make
from padis_gui.viewmodels.errands import Check, Trouble
from padis_gui.viewmodels.follower import Follower
from padis_gui.viewmodels.frames import Frame, Pixels, Point, channels_first, spread_of
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.overlay import Overlay, OverlaySettings
from padis_gui.viewmodels.session import Session

SEAMS, SEAMS_DENOISED, COVERAGE, DISAGREEMENT = "seams", "seams-denoised", "coverage", "disagreement"
MAPS = (SEAMS, SEAMS_DENOISED, COVERAGE, DISAGREEMENT)
_PACE_MS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often each pixel has lain beside a tile border, (rows, columns), in ``steps`` steps."""

    history: History
    upto: int
    steps: int
    count: NDArray[np.int64]

    @property
    def most(self) -> int:
        """The highest count."""
        return int(self.count.max(initial=0))

    @property
    def share_of_pixels(self) -> float:
        """The share of pixels that have been on a seam at all."""
        return float((self.count > 0).mean()) if self.count.size else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """The difference that two offsets make at a step: a map (rows, columns) in the image's unit, its RMS on [0, 1]."""

    step: int
    sigma: float
    pixels: Pixels
    rms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    history: History
    frame: Frame
    points: tuple[Point, ...]
    maps: frozenset[str]
    before: Coverage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    frame: Frame
    maps: Mapping[str, Pixels]
    coverage: Coverage | None


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
        self.inspected: Box | None = None
        self._wanted: frozenset[str] = frozenset()
        self._on_request: dict[int, Disagreement] = {}  # of the shown run, by step
        self._heat: tuple[Coverage, NDArray[np.float32]] | None = None
        self._history = session.history
        self._follower = Follower(session, _PACE_MS)
        self._follower.due.connect(self._ask_for_maps)
        session.shown_changed.connect(self._show_another)

    # The overlay ----------------------------------------------------------------------------------

    def set_overlay(self, name: str, value: Any) -> None:
        """Change one setting of the overlay."""
        self.settings = make(OverlaySettings, self.settings.model_dump() | {name: value})
        self._follow_if_wanted()
        self.overlay_changed.emit()

    def set_inspected(self, box: Box | None) -> None:
        """Set this tile of the shown partition off from the others."""
        if box != self.inspected:
            self.inspected = box
            self.overlay_changed.emit()

    def overlay(self, frame: Frame | None) -> Overlay | None:
        """What to draw over a frame of the shown run; None where it has no tiling."""
        if frame is None or frame.partition is None:
            return None
        settings = self.settings
        return Overlay(
            partition=frame.partition, trail=self._trail(frame.step), heat=self._heat_map(), inspected=self.inspected,
            border=settings.border, offset=settings.offset, numbers=settings.numbers,
        )  # fmt: skip

    def _trail(self, step: int) -> tuple[Partition, ...]:
        if not self.settings.trails:
            return ()
        earlier = [
            p.partition for p in self._session.history.points if p.step < step and p.partition is not None
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

    def _follow_if_wanted(self) -> None:
        needed = bool(self._wanted) or self.settings.heat
        began = needed and not self._follower.wanted
        self._follower.wanted = needed
        if began or (self.settings.heat and self.coverage is None):
            self._ask_for_maps()

    def _show_another(self) -> None:
        """Another run or step is shown: what belongs to the run before goes at once."""
        if self._session.history is not self._history:
            self._history = self._session.history
            self._on_request.clear()
            self.maps, self.coverage, self._heat = {}, None, None
            self.measuring = False
            self.maps_changed.emit()
        self.overlay_changed.emit()

    def _ask_for_maps(self) -> None:
        session = self._session
        frame = session.shown_frame()
        if frame is None:
            return
        request = _Request(
            history=session.history, frame=frame, points=session.history.points, before=self.coverage,
            maps=self._wanted | ({COVERAGE} if self.settings.heat else set()),
        )  # fmt: skip
        session.chores.ask("maps", lambda check: _make(request), self._take_maps)

    def _take_maps(self, made: _Made | Trouble | None) -> None:
        if made is None:
            return
        if isinstance(made, Trouble):
            self._session.message.emit("error", made.sentence, made.details)
            return
        if made.coverage is not None and made.coverage.history is self._session.history:
            self.coverage = made.coverage
        self.maps = dict(made.maps)
        if (found := self.disagreement) is not None:
            self.maps[DISAGREEMENT] = found.pixels
        self.maps_changed.emit()
        if self.settings.heat:
            self.overlay_changed.emit()

    # Disagreement ---------------------------------------------------------------------------------

    @property
    def points(self) -> tuple[Point, ...]:
        """The shown run's points, with what was measured on request."""
        points = self._session.history.points
        if not self._on_request:
            return points
        return tuple(
            replace(p, disagreement=self._on_request[p.step].rms) if p.step in self._on_request else p
            for p in points
        )

    @property
    def disagreement(self) -> Disagreement | None:
        """The shown step's; None where it was not measured."""
        frame = self._session.shown_frame()
        if frame is None:
            return None
        if frame.step in self._on_request:
            return self._on_request[frame.step]
        point = self._session.history.point_at(frame.step)
        if frame.disagreement is None or point is None:
            return None
        return Disagreement(
            step=frame.step, sigma=frame.sigma, pixels=frame.disagreement, rms=point.disagreement
        )

    @property
    def measurable(self) -> bool:
        """Whether the shown step has a denoiser call to repeat."""
        frame = self._session.shown_frame()
        return frame is not None and frame.call is not None and self._session.prior is not None

    @property
    def every(self) -> int:
        """So many steps lie between two measurements during a run; 0 for none."""
        return self._session.run.disagreement_every

    def measure_every(self, steps: int) -> None:
        """Measure the disagreement after every so many steps of a run; 0 for on request only."""
        self._session.run.disagreement_every = max(0, steps)

    def measure(self) -> None:
        """Measure the disagreement at the shown step: two denoiser calls in the compute thread."""
        frame, prior, prepared = self._session.shown_frame(), self._session.prior, self._session.prepared
        if frame is None or frame.call is None or prior is None or prepared is None:
            self._session.message.emit(
                "warning",
                "There is no denoiser call to repeat at this step; run a method that uses the prior.",
                "",
            )
            return
        call, image, history = frame.call, prepared.image, self._session.history
        self.measuring = True

        def done(found: Disagreement | Trouble | None) -> None:
            self.measuring = False
            if isinstance(found, Trouble):
                self._session.message.emit("error", found.sentence, found.details)
            elif found is not None and history is self._session.history:
                self._on_request[found.step] = found
                self.maps[DISAGREEMENT] = found.pixels
                self.maps_changed.emit()
            self.measured.emit()

        self._session.errands.ask(
            "disagreement", lambda check: _disagreement(prior, call, image, frame.step, check), done
        )
        self.measured.emit()


def _disagreement(
    prior: PatchPrior, call: DenoiserCall, image: Image, step: int, check: Check
) -> Disagreement:
    found = disagreement_at(prior.interrupted_by(check), call, torch.Generator().manual_seed(step))
    rms = float(found.square().mean().sqrt())
    return Disagreement(step=step, sigma=call.sigma, pixels=spread_of(found, image), rms=rms)


def _make(request: _Request) -> _Made:
    """The maps of a request; in the I/O thread."""
    frame, made = request.frame, {}
    if (partition := frame.partition) is not None:
        for name, pixels in ((SEAMS, frame.estimate), (SEAMS_DENOISED, frame.denoised)):
            if name in request.maps and pixels is not None:
                x = torch.from_numpy(np.ascontiguousarray(channels_first(pixels)))
                made[name] = seam_map(x, partition).numpy()
    coverage = _cover(request) if COVERAGE in request.maps else None
    if coverage is not None:
        made[COVERAGE] = coverage.count.astype(np.float32)
    return _Made(frame=frame, maps=made, coverage=coverage)


def _cover(request: _Request) -> Coverage | None:
    """The count up to the request's frame: what came before goes on, where it belongs to the same run."""
    before, upto = request.before, request.frame.step
    if before is not None and (before.history is not request.history or before.upto > upto):
        before = None
    since = 0 if before is None else before.upto
    new = [p.partition for p in request.points if since < p.step <= upto and p.partition is not None]
    if before is not None and not new:
        return before if before.upto == upto else replace(before, upto=upto)
    if not new:
        return None
    count = seam_coverage(new).numpy()
    steps = len(new)
    if before is not None and before.count.shape == count.shape:
        count, steps = count + before.count, steps + before.steps
    return Coverage(history=request.history, upto=upto, steps=steps, count=count)


def shown_values(point: Point | None) -> dict[str, float]:
    """The shown step's seam ratios and disagreement, those that are known."""
    if point is None:
        return {}
    values = {
        "seam ratio x̂₀": point.seam_ratio, "seam ratio D": point.seam_denoised, "disagreement": point.disagreement
    }  # fmt: skip
    return {name: value for name, value in values.items() if not math.isnan(value)}
