"""A/B: the present settings (A) and the same with something else (B), from the same noise, in step.

Both generators are advanced in the one compute thread, in turn; each side leaves its latest frame in a mailbox, and
its iterates in a history.
"""

from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PySide6.QtCore import QObject, Signal

from padis_gui.core.ab import Side, find_what_if
from padis_gui.core.prior import PatchPrior
from padis_gui.core.recipe import new_seed
from padis_gui.core.seams import seam_map
from padis_gui.core.solvers import find_solver
from padis_gui.core.tiling import TILINGS, strategy_and_patch
from padis_gui.viewmodels.ab_drive import NAMES, Outcome, drive
from padis_gui.viewmodels.errands import Failure
from padis_gui.viewmodels.frames import Frame, Job, Pixels, Point, Prepared, Result, channels_first
from padis_gui.viewmodels.gate import Gate
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.lab_export import PictureStack
from padis_gui.viewmodels.run import RunState
from padis_gui.viewmodels.runs import record_of
from padis_gui.viewmodels.session import Session

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


class ABRun(QObject):
    """Two runs in step. ``changed`` comes with every new state or choice, ``dirty`` with every iterate, ``mapped``
    with new seam maps."""

    changed = Signal()
    dirty = Signal()
    mapped = Signal()
    _ended = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.gate = Gate(session.compute_requests, self.changed.emit)
        self.choices = Variation(strategy="fixed")
        self.histories = (History(_HISTORY_BYTES), History(_HISTORY_BYTES))
        self.jobs: tuple[Job, Job] | None = None  # of the comparison that is shown
        self.results: tuple[Result | None, Result | None] = (None, None)
        self.prepared: Prepared | None = None
        self.seed = 0
        self.at: float | None = None  # which part of the way is shown; None: the latest
        self._kept: set[int] = set()
        self._maps: dict[int, tuple[Frame, Pixels]] = {}
        self._difference: tuple[Frame, Frame, Pixels] | None = None
        self._future: Future[None] | None = None
        self._ended.connect(self._end)
        for signal in (session.method.changed, session.occupied_changed):
            signal.connect(self.changed)
        session.closing.connect(self.cancel)

    # What is compared -----------------------------------------------------------------------------

    def choose(self, name: str, value: Any) -> None:
        """Let B differ in ``strategy``, ``patch``, ``solver`` or ``positions``; None is as in A."""
        self.choices = replace(self.choices, **{name: value})
        self.changed.emit()

    def sides(self) -> tuple[Side, Side] | None:
        """A and B as they would run now; None while data or prior are missing."""
        job = self._session.job()
        if job is None:
            return None
        a = Side(tiling=job.tiling, solver=job.solver, settings=job.settings, positions=job.prior.positions)
        chosen = self.choices
        changes = {"strategy": chosen.strategy, "patch": chosen.patch}
        tiling = a.tiling.model_copy(update={k: v for k, v in changes.items() if v is not None})
        b = replace(a, tiling=tiling)
        if chosen.solver is not None and chosen.solver != a.solver:
            b = replace(b, solver=chosen.solver, settings=self._session.method.settings_of(chosen.solver))
        return a, b if chosen.positions is None else replace(b, positions=chosen.positions)

    def describe(self, side: Side) -> str:
        """A side in a line."""
        return describe(side, self._session.prior.loaded, self._session.preparation.prepared)

    def label(self, side: int) -> str:
        """A side of the comparison that is shown, in a line; of the one to come where there was none."""
        if self.jobs is None:
            sides = self.sides()
            return "" if sides is None else self.describe(sides[side])
        job = self.jobs[side]
        shown = Side(
            tiling=job.tiling, solver=job.solver, settings=job.settings, positions=job.prior.positions
        )
        return describe(shown, job.prior, self.prepared)

    @property
    def differs(self) -> bool:
        """Whether B is something else than A."""
        sides = self.sides()
        return sides is not None and sides[0] != sides[1]

    # Steering -------------------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """Where the comparison stands."""
        return self.gate.state

    def what_if(self, name: str) -> None:
        """Compare the present settings with a classic fault."""
        fault, sides = find_what_if(name), self.sides()
        if sides is None or self.state.active:
            self._refuse()
            return
        b = fault.of(sides[0])
        self.choices = Variation(
            strategy=fault.tiling.get("strategy"), positions=None if b.positions == sides[0].positions else b.positions
        )  # fmt: skip
        self.start()

    def start(self, *, paused: bool = False) -> None:
        """Run both; ``paused`` stops after the first iterate of each."""
        session, sides, job = self._session, self.sides(), self._session.job()
        if sides is None or job is None or session.run.active or self.state.active or sides[0] == sides[1]:
            self._refuse()
            return
        jobs = tuple(
            replace(
                job, tiling=side.tiling, solver=side.solver, settings=side.settings,
                prior=replace(job.prior, positions=side.positions),
            )
            for side in sides
        )  # fmt: skip
        if not self.gate.begin(paused=paused, steps=len(jobs) if paused else 0):
            return
        self.jobs = (jobs[0], jobs[1])
        self.histories = (History(_HISTORY_BYTES), History(_HISTORY_BYTES))
        self.results, self.at = (None, None), None
        self._kept.clear()
        self._maps.clear()
        self.seed = new_seed() if session.method.seed is None else session.method.seed
        session.occupy(_OCCUPIED)
        prepared = (
            session.preparation.prepared
            if session.preparation.prepared and session.preparation.prepared.job.same_problem(job)
            else None
        )
        self.prepared = prepared or session.preparation.prepared
        self._future = session.submit(self._work, self.jobs, self.seed, prepared)
        self.changed.emit()

    def _refuse(self) -> None:
        session, sides = self._session, self.sides()
        if session.run.active or self.state.active:
            what = "A run" if session.run.active else _OCCUPIED
            text = f"{what} is under way; finish or cancel it first."
        elif sides is None:
            text = "An image and a prior are wanted before a comparison; open them on the Reconstruct page."
        else:
            text = "A and B are the same; choose another tiling, patch size, method or positions for B."
        session.message.emit("warning", text, "")

    def pause(self) -> None:
        """Stop after the patch batch in hand."""
        self.gate.steer(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self.gate.steer(paused=False)

    def step(self) -> None:
        """One iterate of each side, then pause."""
        if self.state.active:
            self.gate.steer(paused=True, steps=len(NAMES))
        else:
            self.start(paused=True)

    def finish(self) -> None:
        """Stop now and keep both estimates."""
        self.gate.steer(stop=RunState.FINISHED)

    def cancel(self) -> None:
        """Stop now and keep nothing."""
        self.gate.steer(stop=RunState.CANCELLED)

    # What is shown --------------------------------------------------------------------------------

    def go_to(self, part: float | None) -> None:
        """Show the iterates at this part of the way, 0 to 1; None for the latest ones."""
        self.at = part
        self.dirty.emit()

    def frame(self, side: int) -> Frame | None:
        """The shown iterate of a side."""
        history = self.histories[side]
        return history.last if self.at is None else history.frame_at(round(self.at * history.total))

    def point(self, side: int) -> Point | None:
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

    def _take_maps(self, maps: dict[int, tuple[Frame, Pixels]] | Failure | None) -> None:
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

    def _work(self, jobs: tuple[Job, Job], seed: int, prepared: Prepared | None) -> None:
        """In the compute thread."""
        self._ended.emit(drive(jobs, seed, prepared, self.histories, self.gate, self.dirty.emit))

    def _end(self, outcome: Outcome) -> None:
        self.results, self.prepared = outcome.results, outcome.prepared or self.prepared
        self._session.occupy("")
        if outcome.failure is not None:
            self._session.message.emit("error", outcome.failure.sentence, outcome.failure.details)
        self.dirty.emit()
        self.changed.emit()


def _seam_maps(frames: dict[int, Frame]) -> dict[int, tuple[Frame, Pixels]]:
    """The seam map of each frame's estimate along its own tiling; in the I/O thread."""
    made = {}
    for side, frame in frames.items():
        if frame.partition is not None:
            x = torch.from_numpy(np.ascontiguousarray(channels_first(frame.estimate)))
            made[side] = frame, seam_map(x, frame.partition).numpy()
    return made


def describe(side: Side, prior: PatchPrior | None, prepared: Prepared | None) -> str:
    """A side in a line: method, tiling, patch size, positions where they are off."""
    strategy, patch = side.tiling.strategy, side.tiling.patch
    if prior is not None and prepared is not None:
        strategy, patch = strategy_and_patch(side.tiling, prepared.image.shape, prior)
    tiling = next(t.label for t in TILINGS if t.name == strategy)
    size = "" if patch is None else f", P = {patch} px"
    blind = "" if side.positions else ", no positions"
    return f"{find_solver(side.solver).label}; {tiling}{size}{blind}"
