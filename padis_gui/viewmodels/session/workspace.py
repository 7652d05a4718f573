"""What is open, chosen, running and shown: the parts that the view models share.

Nothing here is a widget and nothing expensive runs in the UI thread: files are read in an I/O thread, all
computing happens in the one compute thread. Coroutines run on Qt's event loop (qasync).
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.presets import (
    DEFAULT_PRIOR,
    DEMO_IMAGE,
    fitting_prior,
    is_bundled,
    priors_alike,
    resource,
)
from padis_gui.core.runs.recipe import draft_recipe, find_preset
from padis_gui.core.settings.declarations import specs, with_live
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.viewmodels.runs.run import Ended, LiveRun, Task
from padis_gui.viewmodels.runs.runs import RunRecord, Runs
from padis_gui.viewmodels.runs.shown import Shown
from padis_gui.viewmodels.session.saved import SavedChoices, changes, choices_from, usable
from padis_gui.viewmodels.state.background import Background
from padis_gui.viewmodels.state.method import ChosenMethod
from padis_gui.viewmodels.state.opened import OpenData, OpenPrior, Preparation


class Workspace(Background):
    """What runs are made of and what is seen of them."""

    closing = Signal()

    def __init__(self, device: str = "auto", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pace_ms = 0  # from one painted frame to the next: what follows a run need not be faster
        self.prior = OpenPrior(self, device)
        self.method = ChosenMethod(self)
        self.data = OpenData(self, self.prior)
        self.preparation = Preparation(self, self.opened, self.method)
        self.run = LiveRun(self._compute, self.compute_requests, self)
        self.runs = Runs(parent=self)
        self.shown = Shown(self.preparation, self)
        self._running: Task | None = None  # its method as live changes have left it
        self.run.prepared_ready.connect(self.preparation.keep)
        self.run.ended.connect(self._run_ended)
        self.method.problem_changed.connect(self.preparation.soon)
        self.method.solving_changed.connect(self._steer)
        self.prior.changed.connect(self._take_prior)
        self.data.opened.connect(self._take_data)

    # What is open and chosen ------------------------------------------------------------------------

    def opened(self) -> Opened | None:
        """What is open, as far as the chosen physics needs it; None while data or prior are missing."""
        data, prior, imageless = self.data, self.prior, self.method.now.imageless
        if prior.loaded is None or prior.path is None or (data.image is None and not imageless):
            return None
        return Opened(
            image=None if imageless else data.image, data_path=None if imageless else data.path, prior=prior.loaded,
            prior_path=prior.path,
        )  # fmt: skip

    def wanted(self, seed: int, *, measurement_seed: int | None = None) -> Task | None:
        """A run of the choices as they stand; None, and a message, where they are not complete."""
        opened, method = self.opened(), self.method.now
        if opened is None:
            what = "a prior" if self.prior.loaded is None else "an image"
            self.message.emit("warning", f"{what.capitalize()} is wanted before a run; open one.", "")
            return None
        try:
            recipe = draft_recipe(opened, method, seed, measurement_seed=measurement_seed)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return None
        return Task(recipe=recipe, opened=opened, method=method)

    @property
    def stale(self) -> bool:
        """Whether the shown result belongs to other choices than the present ones."""
        opened, shown = self.opened(), self.shown.made_of
        if shown is None or opened is None:
            return False
        return not (shown.opened.same_as(opened) and shown.method == self.method.now)

    async def choose_preset(self, name: str) -> None:
        """Apply a preset, and open the bundled prior and image that belong to it in the place of other bundled ones.

        What the user has opened stays.
        """
        self.method.apply_preset(name)
        try:
            preset = find_preset(name)
            prior, demo = fitting_prior(preset.prior, self.prior.device.type), resource(preset.demo)
            alternatives = priors_alike(preset.prior)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return
        if is_bundled(self.prior.path) and self.prior.path not in alternatives:
            await self.prior.open(prior)
        if is_bundled(self.data.path) and self.data.path != demo:
            await self.data.open(demo)

    async def open_demo(self) -> None:
        """The bundled slice and prior."""
        try:
            prior, image = fitting_prior(DEFAULT_PRIOR, self.prior.device.type), resource(DEMO_IMAGE)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return
        await asyncio.gather(self.prior.open(prior), self.data.open(image))

    def choices(self) -> SavedChoices:
        """What is open and chosen now."""
        data, prior, method = self.data, self.prior, self.method
        problems, solvers = method.problems, method.solvers
        return SavedChoices(
            data=None if data.path is None else str(data.path.resolve()),
            page=0 if data.image is None else data.image.page,
            reading={} if data.image is None else changes(data.image.reading, ReadingSettings()),
            prior=None if prior.path is None else str(prior.path.resolve()),
            training_image_size=prior.image_size if prior.is_snapshot else None,
            physics=method.physics,
            problems={p.name: changes(problems[p.name], p.settings_type()) for p in PHYSICS},
            tiling=method.tiling.model_dump(mode="json"),
            solver=method.solver,
            solvers={s.name: changes(solvers[s.name], s.settings_type()) for s in SOLVERS},
            seed=method.seed, seed_of=method.seed_of, own_seed=method.own_seed if method.seed_of else None,
            preset=method.preset,
        )  # fmt: skip

    async def use(self, choices: SavedChoices) -> None:
        """Open what these choices name, unless it is open, and choose what they say; messages say what cannot be."""
        found, data, prior = usable(choices), self.data, self.prior
        self.method.give_back_seed()  # these bring their own, whatever image is opened for them
        if choices.prior is not None and not _is_open(prior.path, choices.prior):
            await prior.open(Path(choices.prior), choices.training_image_size)
        open_now = None if data.image is None else (data.image.page, data.image.reading)
        wanted = (choices.page, found.reading)
        if choices.data is not None and not (_is_open(data.path, choices.data) and open_now == wanted):
            await data.open(Path(choices.data), *wanted)
        self.method.choose(
            problems=found.problems, physics=choices.physics, tiling=found.tiling, solvers=found.solvers,
            solver=choices.solver, seed=found.seed, seed_of=choices.seed_of, own_seed=found.own_seed,
            preset=choices.preset,
        )  # fmt: skip
        for complaint in found.complaints:
            self.message.emit("warning", complaint, "")

    async def use_run(self, record: RunRecord) -> None:
        """Choose what a run was made of, its seed included: Run then gives the same again."""
        if self.free_for("Settings are brought back between runs; let this one end first."):
            await self.use(choices_from(record.recipe, record.name, self.method.own_seed))

    def _take_prior(self) -> None:
        self.method.fit_to(self.prior.loaded)
        self.preparation.now()

    def _take_data(self, before: Image | None) -> None:
        """A scan brings its geometry; pictures of the run that was shown would stand beside a truth not theirs."""
        self.method.take_scan(before, self.data.image)
        self.shown.clear()
        self.preparation.now()

    # Running ----------------------------------------------------------------------------------------

    def begin(self, task: Task, *, item: str | None = None, paused: bool = False) -> None:
        """Run a task. It is shown, unless the user is looking at an earlier run or step.

        ``item`` is the id of its place in the queue.
        """
        self._running = task
        budget = self.runs.make_room()
        self.run.start(task, self.preparation.pictures, item=item, paused=paused, history_budget=budget)
        if self.shown.live and self.shown.record is None:
            self.shown.follow(self.run.history, task)
        self.occupy("A run")

    def _run_ended(self, ended: Ended) -> None:
        self._running = None
        if ended.outcome.sentence:
            self.message.emit("error", ended.outcome.sentence, ended.outcome.details)
        self.shown.end(ended)

    def _steer(self, before: Method, after: Method) -> None:
        """Hand what was chosen to the run under way, if what the forms showed before was that run's."""
        task = self._running
        if task is None:
            return
        running, live = task.method, [spec.name for spec in specs(type(before.settings)) if spec.live]
        if after.tiling != before.tiling:
            if self._may_steer(task.opened.prior is self.prior.loaded and running.tiling == before.tiling):
                self._running = replace(task, method=running.changed(None, after.tiling))
                self.run.change(tiling=after.tiling)
        elif any(getattr(before.settings, name) != getattr(after.settings, name) for name in live):
            same = running.solver == before.solver
            if self._may_steer(
                same and all(getattr(running.settings, n) == getattr(before.settings, n) for n in live)
            ):
                settings = with_live(running.settings, after.settings)
                self._running = replace(task, method=running.changed(settings, None))
                self.run.change(after.settings)

    def _may_steer(self, shown: bool) -> bool:
        if not shown:
            self.message.emit(
                "info",
                "The running solver has other settings than those shown; this change is for the next run.",
                "",
            )
        return shown


def _is_open(path: Path | None, name: str) -> bool:
    return path is not None and path.resolve() == Path(name)
