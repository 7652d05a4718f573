"""What is open, chosen, running and shown: the parts that the view models share.

Nothing here is a widget and nothing expensive runs in the UI thread: files are read in an I/O thread, all
computing happens in the one compute thread. Coroutines run on Qt's event loop (qasync).
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.registry import PHYSICS, find_physics
from padis_gui.core.prior.checkpoint import PriorRecord, read_record
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.inputs import inputs_of
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, misfit
from padis_gui.core.runs.presets import (
    DEFAULT_PRIOR,
    DEMO_IMAGE,
    GENERAL_PRIOR,
    bundled_priors,
    find_preset,
    fitting_prior,
    is_bundled,
    priors_alike,
    resource,
    save_preset,
)
from padis_gui.core.runs.recipe import draft_recipe
from padis_gui.core.settings.declarations import specs, with_live
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.settings.outputs import check_names
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.registry import SOLVERS, find_solver
from padis_gui.viewmodels.pictures.frames import History, ProblemPictures
from padis_gui.viewmodels.runs.run import Ended, LiveRun, Task
from padis_gui.viewmodels.runs.runs import RunRecord, Runs
from padis_gui.viewmodels.runs.shown import Shown
from padis_gui.viewmodels.session.saved import SavedChoices, changes, choices_from, usable
from padis_gui.viewmodels.session.volume import VolumeView
from padis_gui.viewmodels.state.background import Background
from padis_gui.viewmodels.state.method import ChosenMethod
from padis_gui.viewmodels.state.opened import OpenData, OpenPrior
from padis_gui.viewmodels.state.preparation import Preparation


class Workspace(Background):
    """What runs are made of and what is seen of them."""

    closing = Signal()

    def __init__(self, device: str = "auto", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pace_ms = 0  # from one painted frame to the next: what follows a run need not be faster
        self.prior = OpenPrior(self, device)
        self.method = ChosenMethod(self)
        self.data = OpenData(self)
        self.data.opened.connect(self._take_data)  # before the preparation hears of it
        self.prior.changed.connect(self._take_prior)
        self.prior.across_changed.connect(self.method.changed)
        self.preparation = Preparation(self, self.data, self.prior, self.method)
        self.volume = VolumeView(self, self.data, self.prior)
        self.closing.connect(self.volume.close)
        self._subject = lambda: self.volume.subject
        self.volume.changed.connect(
            lambda: self.preparation.follow_volume(self._subject if self.volume.on else None)
        )
        self.run = LiveRun(self._compute, self.compute_requests, self)
        self.runs = Runs(parent=self)
        self.shown = Shown(self)
        self._running: Task | None = None  # its method as live changes have left it
        self.running_name = ""  # what its record will be called, unless it comes from the queue
        self._wishes = 0  # so many times several things were asked for at once: a preset, a run's settings
        self.run.prepared_ready.connect(self._take_pictures)
        self.run.changed.connect(self._follow_run)
        self.shown.changed.connect(self._follow_shown)
        self.run.ended.connect(self._run_ended)
        self.method.solving_changed.connect(self._steer)

    # What is open and chosen ------------------------------------------------------------------------

    def opened(self) -> Opened | None:
        """What is open, as far as the chosen physics needs it; None while data or prior are missing."""
        return self.preparation.opened()

    def opened_slice(self) -> Opened | None:
        """What is open as :meth:`opened`, and of a volume the one slice that was opened."""
        found = self.opened()
        if found is not None and found.is_volume:
            return replace(found, image=self.data.image)
        return found

    @property
    def open_image(self) -> Image | None:
        """What is open: an image, or the volume around it."""
        return self.volume.subject if self.volume.on else self.data.image

    def inputs(self) -> list[Path]:
        """The files that are open, and those that the problem names."""
        problem = self.method.problem
        named = [getattr(problem, spec.name) for spec in specs(type(problem)) if spec.kind == "file"]
        running = [] if self._running is None else inputs_of(self._running.recipe)
        return [Path(path) for path in (self.data.path, self.prior.path, *named) if path] + running

    def wanted(self, seed: int, *, measurement_seed: int | None = None) -> Task | None:
        """A run of the choices as they stand; None, and a message, where they are not complete."""
        opened, method = self.opened(), self.method.now
        if opened is not None and self.volume.on and self.volume.image is None:
            return None  # it is read first
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
        same = shown.opened.same_as(opened) and shown.opened.across is opened.across
        return not (same and shown.method == self.method.now)

    async def choose_preset(self, name: str) -> None:
        """Apply a preset, and open the bundled prior and image that belong to it in the place of other bundled ones.

        What the user has opened, or is opening, stays.
        """
        self.ask()
        self.method.apply_preset(name)
        try:
            preset = find_preset(name)
            prior, demo = fitting_prior(preset.prior, self.prior.device.type), resource(preset.demo)
            alternatives = priors_alike(preset.prior)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return
        opening = []
        if is_bundled(self.prior.wanted) and self.prior.wanted not in alternatives:
            opening.append(self.prior.open(prior))
        if is_bundled(self.data.wanted) and self.data.wanted != demo:
            opening.append(self.data.open(demo))
        await asyncio.gather(*opening)

    async def save_preset(self, name: str) -> bool:
        """Keep problem, solver and its settings as a preset of the user's, which is the chosen one then."""
        method = self.method.now
        summary = f"{find_solver(method.solver).label} for {find_physics(method.physics).label}"
        path = await self.read(
            save_preset, name, summary, method.physics, method.problem, method.solver, method.settings
        )
        if path is None:
            return False
        if self.method.now == method:
            self.method.name_preset(name)
        self.message.emit("info", f"These settings are the preset {name} now; its file is {path}", "")
        return True

    async def open_demo(self) -> None:
        """The bundled slice and prior."""
        self.ask()
        try:
            prior, image = fitting_prior(DEFAULT_PRIOR, self.prior.device.type), resource(DEMO_IMAGE)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return
        await asyncio.gather(self.prior.open(prior), self.data.open(image))

    @property
    def unfit(self) -> str:
        """Why the open prior does not know images like the open one, as a sentence; "" where it may."""
        image, prior, record = self.data.image, self.prior.loaded, self.prior.record
        if image is None or prior is None or record is None or self.method.now.imageless:
            return ""
        why = misfit(image, record.conventions, prior.channels)
        return f"{record.name} {why}." if why else ""

    @property
    def rival(self) -> Path | None:
        """The bundled prior for anything scanned, where a scan is open and another bundled prior."""
        image, path, general = self.data.image, self.prior.path, resource(GENERAL_PRIOR)
        if image is None or not image.is_scan or path is None or not is_bundled(path) or path == general:
            return None
        return general

    def better_priors(self) -> list[Path]:
        """The bundled priors to offer in the place of the open one: those that know such images where it does not, as
        :attr:`unfit` says, else its :attr:`rival`."""
        image, rival = self.data.image, self.rival
        if image is None or not self.unfit:
            return [] if rival is None else [rival]
        return [
            path
            for path, record in _bundled_records().items()
            if not misfit(image, record.conventions, record.network.image_channels)
        ]

    def choices(self) -> SavedChoices:
        """What is open and chosen now."""
        data, prior, method = self.data, self.prior, self.method
        problems, solvers = method.problems, method.solvers
        return SavedChoices(
            data=_text_of(data.path),
            page=0 if data.image is None else data.image.page,
            slices=(self.volume.pages[0], self.volume.pages[-1]) if self.volume.on else None,
            reading={} if data.image is None else changes(data.image.reading, ReadingSettings()),
            prior=_text_of(prior.path),
            across=_text_of(prior.across_path), stack=changes(method.stack, StackSettings()),
            training_image_size=prior.image_size if prior.is_snapshot else None,
            physics=method.physics,
            problems={p.name: changes(problems[p.name], p.settings_type()) for p in PHYSICS},
            tiling=method.tiling.model_dump(mode="json"),
            solver=method.solver,
            solvers={s.name: changes(solvers[s.name], s.settings_type()) for s in SOLVERS},
            seed=method.seed, seed_of=method.seed_of, own_seed=method.own_seed if method.seed_of else None,
            preset=method.preset, adapts=method.adapts, adaptation=changes(method.adaptation, AdaptationSettings()),
        )  # fmt: skip

    @property
    def asked(self) -> tuple[int, int, int]:
        """How many times data were asked for, settings, or both at once: who takes long to answer looks whether it has
        changed.
        """
        return self._wishes, self.method.wishes, self.data.wishes

    def ask(self) -> tuple[int, int, int]:
        """Data and settings at once are wanted from now on, whatever was asked for before; returns :attr:`asked`."""
        self._wishes += 1
        return self.asked

    def use(self, choices: SavedChoices) -> Coroutine[Any, Any, bool]:
        """Open what these choices name, unless it is open, and choose what they say; messages say what cannot be.

        False where something else was wanted meanwhile: the latest wins, from the call on.
        """
        self.method.give_back_seed()  # these bring their own, whatever image is opened for them
        return self._use(choices, list(self.ask()), self.prior.wishes)

    async def _use(self, choices: SavedChoices, latest: list[int], prior_asked: int) -> bool:
        found, data, prior = usable(choices), self.data, self.prior
        later = prior.wishes != prior_asked
        if choices.prior is not None and not later and not _is_open(prior.wanted, choices.prior):
            await prior.open(Path(choices.prior), choices.training_image_size)
        wanted = (choices.page, found.reading)
        if not later and not _is_same(prior.across_path, choices.across):
            await prior.open_across(None if choices.across is None else Path(choices.across))
        superseded = (self._wishes, data.wishes) != (latest[0], latest[2])
        if not superseded and choices.data and not data.is_at(Path(choices.data), *wanted):
            latest[2] += 1
            await data.open(Path(choices.data), *wanted)
        if latest != list(self.asked):
            return False
        if choices.data and choices.slices is None:
            self.volume.leave()
        elif choices.data and choices.slices is not None and data.image is not None:
            self.volume.choose(True, choices.slices)
        self.method.choose(
            problems=found.problems, physics=choices.physics, tiling=found.tiling, solvers=found.solvers,
            solver=choices.solver, seed=found.seed, seed_of=choices.seed_of, own_seed=found.own_seed,
            preset=choices.preset, adapts=choices.adapts, adaptation=found.adaptation, stack=found.stack,
        )  # fmt: skip
        for complaint in found.complaints:
            self.message.emit("warning", complaint, "")
        return True

    def use_run(self, record: RunRecord) -> Coroutine[Any, Any, bool]:
        """Choose what a run was made of, its seed included: Run then gives the same again."""
        return self.use(choices_from(record.recipe, record.name, self.method.own_seed))

    async def open_data_of(self, record: RunRecord) -> None:
        """Open what a run was made of, and show the run beside it."""
        data = record.recipe.data
        if data is not None and await self.data.open(Path(data.file), data.page, data.reading):
            stack = record.recipe.stack
            if stack is not None:
                self.volume.choose(True, stack.pages)
            self.shown.show(record)

    def _follow_shown(self) -> None:
        """A run of one slice is seen where a slice is, that of a volume in its planes."""
        grid = self.shown.grid
        self.volume.show_grid(grid)
        if self.shown.anything and grid is None:
            self.volume.leave()

    def _take_prior(self) -> None:
        self.method.fit_to(self.prior.loaded)

    def _take_data(self, before: Image | None) -> None:
        """A scan brings its geometry; pictures of the run that was shown would stand beside a truth not theirs."""
        self.method.take_data(before, self.data.image)
        self.shown.clear()

    # Running ----------------------------------------------------------------------------------------

    def begin(self, task: Task, *, item: str | None = None, paused: bool = False) -> None:
        """Run a task. It is shown, unless it is of other data than what is open, or the user is looking at an earlier
        run or step.

        ``item`` is the id of its place in the queue.
        """
        self._running = task
        self.running_name = "" if item is not None else self.runs.next_name()
        budget = self.runs.make_room()
        self.preparation.make_way(task.opened, task.method)
        self.run.start(task, self.preparation.made, item=item, paused=paused, history_budget=budget)
        of_open = task.opened.image is None or task.opened.image is self.open_image
        if of_open and self.shown.live and self.shown.record is None:
            self.shown.follow(self.run.history, task)
        self.occupy("A run")

    def show_running(self) -> None:
        """Show the run under way, whatever is open."""
        if (task := self.running) is not None:
            self.shown.follow(self.run.history, task, self.run.pictures)

    def cancel(self) -> None:
        """Stop the run under way and keep nothing of it; without one, stop preparing."""
        if self.volume.loading is not None:
            self.volume.cancel_loading()
        elif self.run.active:
            self.run.cancel()
        else:
            self.preparation.cancel()

    def _take_pictures(self, history: History, pictures: ProblemPictures) -> None:
        self.preparation.keep(pictures)
        self.shown.take_pictures(history, pictures)

    def _follow_run(self) -> None:
        if self.run.state is RunState.STOPPING:  # it may wait for what is being prepared
            self.preparation.let_run_stop()

    def _run_ended(self, ended: Ended) -> None:
        self._running = None
        if ended.outcome.sentence:
            self.message.emit("error", ended.outcome.sentence, ended.outcome.details)
        error = ended.outcome.error
        if isinstance(error, PadisError) and error.remedy:
            self.remedy_wanted.emit(error.remedy)
        self.shown.end(ended)

    @property
    def running(self) -> Task | None:
        """The run under way, its method as live changes have left it; None where none is."""
        return self._running

    @property
    def steers_tiling(self) -> bool:
        """Whether another tiling that is chosen now acts on the run under way."""
        return self._shows_tiling(self.method.now)

    @property
    def steers_solver(self) -> bool:
        """Whether live settings of the solver that are changed now act on the run under way."""
        return self._shows_solver(self.method.now)

    def _shows_tiling(self, method: Method) -> bool:
        """Whether what is open is the running solver's, and a method's tiling is what it tiles with."""
        task, opened = self._running, self.opened()
        return (
            task is not None
            and opened is not None
            and task.opened.same_as(opened)
            and task.method.tiling == method.tiling
        )

    def _shows_solver(self, method: Method) -> bool:
        """Whether what is open is the running solver's, and a method has that solver with its live settings."""
        task, opened = self._running, self.opened()
        if task is None or opened is None or not task.opened.same_as(opened):
            return False
        running, live = task.method, (spec.name for spec in specs(type(method.settings)) if spec.live)
        return running.solver == method.solver and all(
            getattr(running.settings, name) == getattr(method.settings, name) for name in live
        )

    def _steer(self, before: Method, after: Method) -> None:
        """Hand what was chosen to the run under way, if what the forms showed before was that run's."""
        task = self._running
        if task is None:
            return
        if after.tiling != before.tiling:
            if self._shows_tiling(before):
                self._running = replace(task, method=task.method.changed(None, after.tiling))
                self.run.change(tiling=after.tiling)
        elif self._shows_solver(before):
            settings = with_live(task.method.settings, after.settings)
            if settings != task.method.settings:
                self._running = replace(task, method=task.method.changed(settings, None))
                self.run.change(after.settings)


@cache
def _bundled_records() -> dict[Path, PriorRecord]:
    """What the bundled priors say of themselves; a few kilobytes each are read, once."""
    return {path: read_record(path) for path in bundled_priors()}


def _text_of(path: Path | None) -> str | None:
    """A path as a session keeps it; None for a name that no text can hold, which is then not opened again."""
    if path is None:
        return None
    try:
        check_names(path)
    except InputError:
        return None
    return str(path.resolve())


def _is_same(path: Path | None, name: str | None) -> bool:
    return path is None if name is None else _is_open(path, name)


def _is_open(path: Path | None, name: str) -> bool:
    return path is not None and path.resolve() == Path(name)
