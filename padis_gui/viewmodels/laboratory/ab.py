"""A/B: the present settings (A) and the same with something else (B), from the same noise, in step.

Both generators are advanced in the one compute thread, in turn; each side leaves its latest frame in a mailbox, and
its iterates in a history.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PySide6.QtCore import Signal

from padis_gui.core.images.image import Pixels
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.seams import seam_map
from padis_gui.core.prior.tiling import TILINGS, strategy_and_patch
from padis_gui.core.runs.control import Control, RunState
from padis_gui.core.runs.engine import Outcome, Result, Run
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared
from padis_gui.core.runs.pair import find_what_if, in_step
from padis_gui.core.runs.recipe import Recipe, draft_recipe, new_seed
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.laboratory.export import PictureStack
from padis_gui.viewmodels.pictures.frames import (
    CurvePoint,
    History,
    IteratePictures,
    ProblemPictures,
    channels_first,
    pictures_of_problem,
)
from padis_gui.viewmodels.runs.run import Recording, Steered, failed, outcome_of
from padis_gui.viewmodels.runs.runs import record_of
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Failure

log = logging.getLogger(__name__)

NAMES = ("A", "B")
SEAM_MAP = "seams"
# What both panes can show of an iterate
PICTURES = {
    "estimate": "Estimate x̂₀",
    "difference": "Difference x̂₀ − truth",
    SEAM_MAP: "Seam map of x̂₀",
    "denoised": "Denoised D(x_t)",
    "state": "Iterate x_t",
}
_OCCUPIED = "An A/B comparison"
_HISTORY_BYTES = 64 * 2**20  # of each side


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How B differs from A; None is as in A."""

    strategy: str | None = None
    patch: int | None = None
    solver: str | None = None
    positions: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """How both runs ended, and the problem of both; None where it could not be made."""

    outcomes: tuple[Outcome, Outcome]
    prepared: Prepared | None


class ABRun(Steered):
    """Two runs in step. ``changed`` comes with every new state or choice, ``dirty`` with every iterate, ``mapped``
    with new seam maps. ``choices`` are how B differs, ``methods`` the two of the comparison that is shown."""

    dirty = Signal()
    mapped = Signal()
    _came = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session.compute_requests, session)
        self._session = session
        self.choices = Variation(strategy="fixed")
        self.histories = (History(_HISTORY_BYTES), History(_HISTORY_BYTES))
        self.methods: tuple[Method, Method] | None = None
        self.results: tuple[Result | None, Result | None] = (None, None)
        self.prepared: Prepared | None = None
        self._opened: Opened | None = None
        self.at: float | None = None  # which part of the way is shown; None: the latest
        self._kept: set[int] = set()
        self._maps: dict[int, tuple[IteratePictures, Pixels]] = {}
        self._difference: tuple[IteratePictures, IteratePictures, Pixels] | None = None
        self._came.connect(self._take)
        for signal in (session.method.changed, session.occupied_changed, session.data.changed):
            signal.connect(self.changed)
        session.closing.connect(self.cancel)

    # What is compared -----------------------------------------------------------------------------

    def choose(self, name: str, value: Any) -> None:
        """Let B differ in ``strategy``, ``patch``, ``solver`` or ``positions``; None is as in A."""
        self.choices = replace(self.choices, **{name: value})
        self.changed.emit()

    def sides(self) -> tuple[Method, Method] | None:
        """A and B as they would run now; None while data or prior are missing."""
        if self._session.opened() is None:
            return None
        a, chosen = self._session.method.now, self.choices
        changes = {"strategy": chosen.strategy, "patch": chosen.patch}
        b = replace(a, tiling=a.tiling.model_copy(update={k: v for k, v in changes.items() if v is not None}))
        if chosen.solver is not None and chosen.solver != a.solver:
            b = replace(b, solver=chosen.solver, settings=self._session.method.settings_of(chosen.solver))
        return a, b if chosen.positions is None else replace(b, positions=chosen.positions)

    def describe(self, side: Method) -> str:
        """A side in a line."""
        return describe(side, self._session.prior.loaded, self._session.preparation.prepared)

    def label(self, side: int) -> str:
        """A side of the comparison that is shown, in a line; of the one to come where there was none."""
        if self.methods is None:
            sides = self.sides()
            return "" if sides is None else self.describe(sides[side])
        prior = None if self.prepared is None else self.prepared.opened.prior
        return describe(self.methods[side], prior, self.prepared)

    @property
    def whose(self) -> str:
        """Of what the comparison that is shown is, where that is no longer open; else ""."""
        image = None if self._opened is None else self._opened.image
        if self.methods is None or image is None or image is self._session.data.image:
            return ""
        return f"Of {image.name}, which is no longer open"

    # Steering -------------------------------------------------------------------------------------

    def what_if(self, name: str) -> None:
        """Compare the present settings with a classic fault."""
        fault, sides = find_what_if(name), self.sides()
        if sides is None or self.active:
            self._refuse()
            return
        b = fault.of(sides[0])
        self.choices = Variation(
            strategy=fault.tiling.get("strategy"), positions=None if b.positions == sides[0].positions else b.positions
        )  # fmt: skip
        self.start()

    def start(self, *, paused: bool = False) -> None:
        """Run both; ``paused`` stops after the first iterate of each."""
        session, sides, opened = self._session, self.sides(), self._session.opened_slice()
        if sides is None or opened is None or session.occupied_by or sides[0] == sides[1]:
            self._refuse()
            return
        seed = new_seed() if session.method.seed is None else session.method.seed
        try:
            a, b = (draft_recipe(opened, side, seed, paired=True) for side in sides)
        except PadisError as error:
            session.message.emit("error", str(error), "")
            return
        control = self._begin(paused=paused, steps=len(NAMES))
        first, second = (Recording(History(_HISTORY_BYTES), every_seam=True) for _ in NAMES)
        self.methods, self.histories = sides, (first.history, second.history)
        self.results, self.at = (None, None), None
        self._kept.clear()
        self._maps.clear()
        pictures = None if session.volume.on else session.preparation.pictures  # A and B are of one slice
        self.prepared, self._opened = None if pictures is None else pictures.prepared, opened
        session.occupy(_OCCUPIED)
        runs = _pair((a, b), opened, control, (first, second), pictures)
        self._future = session.submit(self._work, runs, (first, second))
        self.changed.emit()

    def _refuse(self) -> None:
        session, sides = self._session, self.sides()
        if session.occupied_by:
            text = f"{session.occupied_by} is under way; finish or cancel it first."
        elif sides is None:
            text = "An image and a prior are wanted before a comparison; open them on the Reconstruct page."
        else:
            text = "A and B are the same; choose another tiling, patch size, method or positions for B."
        session.message.emit("warning", text, "")

    def step(self) -> None:
        """One iterate of each side, then pause."""
        if self.active:
            self._steer(lambda control: control.step(len(NAMES)))
        else:
            self.start(paused=True)

    # What is shown --------------------------------------------------------------------------------

    def go_to(self, part: float | None) -> None:
        """Show the iterates at this part of the way, 0 to 1; None for the latest ones."""
        self.at = part
        self.dirty.emit()

    def frame(self, side: int) -> IteratePictures | None:
        """The shown iterate of a side."""
        history = self.histories[side]
        return history.last if self.at is None else history.frame_at(round(self.at * history.total))

    def point(self, side: int) -> CurvePoint | None:
        """The shown iterate's numbers."""
        frame = self.frame(side)
        return None if frame is None else self.histories[side].point_at(frame.step)

    def picture(self, side: int, kind: str) -> Pixels | None:
        """A picture of the shown iterate; a seam map comes a little later, see ``mapped``."""
        frame = self.frame(side)
        if frame is None or kind != SEAM_MAP:
            return None if frame is None else getattr(frame, kind)
        known = self._maps.get(side)
        if known is None or known[0] is not frame:
            frames = {i: f for i in range(len(NAMES)) if (f := self.frame(i)) is not None}
            self._session.io_requests.ask("ab maps", lambda check: _seam_maps(frames), self._take_maps)
        return None if known is None else known[1]

    def difference(self) -> Pixels | None:
        """The estimate of B minus that of A, (rows, columns[, 3]) in the image's unit."""
        a, b = self.frame(0), self.frame(1)
        if a is None or b is None or a.estimate.shape != b.estimate.shape:
            return None
        known = self._difference
        if known is None or known[0] is not a or known[1] is not b:
            self._difference = known = (a, b, b.estimate - a.estimate)
        return known[2]

    def difference_rms(self) -> float:
        """Root mean square of :meth:`difference`, NaN while there is none."""
        found = self.difference()
        return float("nan") if found is None else float(np.sqrt(np.mean(np.square(found, dtype=np.float64))))

    def _take_maps(self, maps: dict[int, tuple[IteratePictures, Pixels]] | Failure | None) -> None:
        if isinstance(maps, dict):
            self._maps = maps
            self.mapped.emit()

    # What is kept ---------------------------------------------------------------------------------

    @property
    def keepable(self) -> bool:
        """Whether there is a result that is not among the runs yet."""
        return any(r is not None and i not in self._kept for i, r in enumerate(self.results))

    def keep(self) -> None:
        """Put the results among the runs."""
        runs = self._session.runs
        name = runs.next_name() if self.keepable else ""
        for index, result in enumerate(self.results):
            if result is not None and index not in self._kept:
                self._kept.add(index)
                record = record_of(
                    result,
                    self.histories[index],
                    name=f"{name}, {NAMES[index]} of A/B",
                    state=self.state.value,
                )
                runs.add(record)
        self.changed.emit()

    def pages(self) -> PictureStack | None:
        """The shown estimates of A and B, and B − A, with both recipes; None until a comparison has ended."""
        a, b, difference = self.frame(0), self.frame(1), self.difference()
        results = [result for result in self.results if result is not None]
        if a is None or b is None or difference is None or len(results) < len(NAMES):
            return None
        metrics = {
            f"{name}_{side}": value
            for side, result in zip(NAMES, results, strict=True)
            for name, value in result.metrics.items()
        }
        return PictureStack(
            name="A/B", pictures={"A": a.estimate, "B": b.estimate, "B − A": difference}, recipe=results[0].recipe,
            metrics=metrics | {"difference_rms": self.difference_rms()},
            details={"steps": [a.step, b.step], "recipe_b": results[1].recipe.model_dump(mode="json")},
        )  # fmt: skip

    # How it ends ----------------------------------------------------------------------------------

    def _work(self, runs: list[Run], recordings: tuple[Recording, Recording]) -> None:
        """In the compute thread."""
        turns = in_step(runs)
        try:
            for turn in turns:
                if turn.iterate is not None:
                    recordings[turn.side].append(turn.iterate)
                    recordings[turn.side].picture(turn.iterate)
                    self.dirty.emit()
            outcomes = [outcome_of(run) for run in runs]
        except Exception as error:  # of what is made for the window: it must survive it
            log.exception("The comparison could not be shown")
            turns.close()
            outcomes = [failed(run.recipe, error) for run in runs]
        self._came.emit(_Ended(outcomes=(outcomes[0], outcomes[1]), prepared=runs[0].prepared))

    def _take(self, ended: _Ended) -> None:
        a, b = ended.outcomes
        self.results, self.prepared = (a.result, b.result), ended.prepared or self.prepared
        # one side that failed leaves the other as it ended
        self._end(b.state if a.state is RunState.FAILED else a.state)
        said = {outcome.sentence: outcome.details for outcome in ended.outcomes if outcome.sentence}
        named = [f"{name}: {o.sentence}" for name, o in zip(NAMES, ended.outcomes, strict=True) if o.sentence]
        if said:  # what both say is said once
            text = next(iter(said)) if len(said) == 1 and len(named) == len(NAMES) else " ".join(named)
            self._session.message.emit("error", text, "\n".join(filter(None, said.values())))
        self._session.occupy("")
        self.dirty.emit()
        self.changed.emit()


def _pair(
    recipes: tuple[Recipe, Recipe],
    opened: Opened,
    control: Control,
    recordings: tuple[Recording, Recording],
    pictures: ProblemPictures | None,
) -> list[Run]:
    """Both sides, of one problem: that of ``pictures`` where it serves, else the first one prepares it for both."""
    runs: list[Run] = []
    prior = opened.prior.interrupted_by(control.check)

    def show(prepared: Prepared, recording: Recording) -> None:
        nonlocal pictures
        if pictures is None or pictures.prepared is not prepared:
            pictures = pictures_of_problem(prepared)
        recording.begin(pictures, prior)
        for run in runs:
            run.prepared = prepared

    runs += [
        Run(
            recipe, opened, control, prepared=None if pictures is None else pictures.prepared,
            on_prepared=partial(show, recording=recording), observe=recording.observe, of_pair=True,
        )
        for recipe, recording in zip(recipes, recordings, strict=True)
    ]  # fmt: skip
    return runs


def _seam_maps(frames: dict[int, IteratePictures]) -> dict[int, tuple[IteratePictures, Pixels]]:
    """The seam map of each frame's estimate along its own tiling; in the I/O thread."""
    made = {}
    for side, frame in frames.items():
        if frame.partition is not None:
            x = torch.from_numpy(np.ascontiguousarray(channels_first(frame.estimate)))
            made[side] = frame, seam_map(x, frame.partition).numpy()
    return made


def describe(side: Method, prior: PatchPrior | None, prepared: Prepared | None) -> str:
    """A side in a line: method, tiling, patch size, positions where they are off."""
    strategy, patch = side.tiling.strategy, side.tiling.patch
    if prior is not None and prepared is not None:
        strategy, patch = strategy_and_patch(side.tiling, prepared.image.shape, prior)
    tiling = next(t.label for t in TILINGS if t.name == strategy)
    size = "" if patch is None else f", P = {patch} px"
    blind = "" if side.positions else ", no positions"
    return f"{find_solver(side.solver).label}; {tiling}{size}{blind}"
