"""What is open and chosen: data, problem, prior, tiling, solver, seed; and the last result.

Nothing here is a widget and nothing expensive runs in the UI thread: files are read in an I/O thread, all
computing happens in the one compute thread. Coroutines run on Qt's event loop (qasync).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.checkpoint import PriorRecord, load_prior, read_record
from padis_gui.core.data.files import list_datasets
from padis_gui.core.data.image import Image
from padis_gui.core.data.read import read_image
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.core.device import describe_device, fastest_precision, pick_device
from padis_gui.core.errors import PadisError, SettingError
from padis_gui.core.operators import PHYSICS, find_physics
from padis_gui.core.operators.settings import PhysicsSettings
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import scan_settings
from padis_gui.core.recipe import check_seed, find_preset
from padis_gui.core.resources import (
    DEFAULT_PRESET,
    DEFAULT_PRIOR,
    DEMO_IMAGE,
    PRESETS,
    Preset,
    fitting_prior,
    is_bundled,
    priors_alike,
    resource,
)
from padis_gui.core.settings import Settings, make, specs, with_live
from padis_gui.core.solvers import SOLVERS, find_solver
from padis_gui.core.tiling import TilingSettings
from padis_gui.viewmodels.background import Background
from padis_gui.viewmodels.choices import Choices, changes, choices_from, usable
from padis_gui.viewmodels.frames import Frame, Job, Prepared, Result, prepare
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.run import Run
from padis_gui.viewmodels.runs import RunRecord, Runs
from padis_gui.viewmodels.shown import Shown

_PREPARE_DELAY_MS = 250
# Above this many matrix rows times pixels the problem is prepared by Run only, not after every change.
_CHEAP = 256 * 256 * 128


class Desk(Background):
    """What runs are made of and what is seen of them. Setters check, keep what was there where the new value is bad,
    and say why."""

    data_changed = Signal()
    prior_changed = Signal()
    settings_changed = Signal()
    prepared_changed = Signal()
    result_changed = Signal()
    closing = Signal()
    shown_changed = Signal()  # another run or step is shown; the live run's going on is run.dirty
    dataset_wanted = Signal(object, object)  # a file's path, what it holds: one of these must be named

    def __init__(self, device: str = "auto", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.device = pick_device(device)
        self.occupied_by = ""  # what else has the compute thread, as the beginning of a sentence
        self.run = Run(self._compute, self.errands, self)
        self.pace_ms = 0  # from one painted frame to the next: what follows a run need not be faster
        self.run.prepared_ready.connect(self._keep_prepared)
        self.runs = Runs(parent=self)
        self.shown = Shown(self)
        self.shown.changed.connect(self.shown_changed)
        self.image: Image | None = None
        self.data_path: Path | None = None
        self.prior: PatchPrior | None = None
        self.prior_path: Path | None = None
        self.prior_record: PriorRecord | None = None
        self.prepared: Prepared | None = None
        self.result: Result | None = None
        self.seed: int | None = None
        self.physics = PHYSICS[0].name
        self._problems: dict[str, PhysicsSettings] = {p.name: p.settings_type() for p in PHYSICS}
        self.tiling = TilingSettings()
        self.solver = SOLVERS[0].name
        self._solver_settings: dict[str, Settings] = {s.name: s.settings_type() for s in SOLVERS}
        self.preset: str | None = None  # None once problem or solver have been changed by hand
        self._shown_job: Job | None = None
        self._running: Job | None = None  # as live changes have left it
        self._prepare_waits = False  # the problem was changed during a run
        self._preparing = QTimer(self, singleShot=True, interval=_PREPARE_DELAY_MS)
        self._preparing.timeout.connect(self._prepare_soon)
        self.apply_preset(DEFAULT_PRESET)

    # Choices --------------------------------------------------------------------------------------

    @property
    def solver_settings(self) -> Settings:
        """The settings of the chosen solver."""
        return self._solver_settings[self.solver]

    @property
    def problem(self) -> PhysicsSettings:
        """The settings of the chosen measurement."""
        return self._problems[self.physics]

    def settings_of(self, solver: str) -> Settings:
        """The settings of any solver."""
        return self._solver_settings[find_solver(solver).name]

    def set_physics(self, name: str) -> None:
        """Choose what is measured; its own settings come back with it."""

        def change() -> None:
            self._choose_physics(find_physics(name).name)

        self._set(change)
        self._preparing.start()

    def set_problem(self, name: str, value: Any) -> None:
        """Change one setting of the measurement."""

        def change() -> None:
            self._problems[self.physics] = _changed(self.problem, name, value)
            self.preset = None

        self._set(change)
        self._preparing.start()

    def set_tiling(self, name: str, value: Any) -> None:
        """Change the strategy or the patch size; a running solver tiles so from its next iterate on."""

        def change() -> None:
            tiling = _changed(self.tiling, name, value)
            if self.prior is not None:
                self.prior.resolve_patch(tiling.patch)
            running = self._running
            steers = running is not None and running.prior is self.prior and running.tiling == self.tiling
            self.tiling = tiling
            if running is not None and self._may_steer(steers):
                self._running = replace(running, tiling=tiling)
                self.run.change_tiling(tiling)

        self._set(change)

    def set_solver(self, name: str) -> None:
        """Choose a solver; its own settings come back with it."""

        def change() -> None:
            self.solver = find_solver(name).name
            self.preset = None

        self._set(change)

    def set_solver_setting(self, name: str, value: Any) -> None:
        """Change one setting of the chosen solver; live ones reach a running solver at its next iterate."""

        def change() -> None:
            before = self.solver_settings
            self._solver_settings[self.solver] = after = _changed(before, name, value)
            self.preset = None
            live = {spec.name for spec in specs(type(before)) if spec.live}
            running = self._running
            if running is None or name not in live:
                return
            same = running.solver == self.solver
            steers = same and all(getattr(running.settings, n) == getattr(before, n) for n in live)
            if self._may_steer(steers):
                self._running = replace(running, settings=with_live(running.settings, after))
                self.run.change(after)

        self._set(change)

    def _may_steer(self, shown: bool) -> bool:
        """Whether a live change is for the run under way: only if what the forms showed before was that run's."""
        if not shown:
            self.message.emit(
                "info",
                "The running solver has other settings than those shown; this change is for the next run.",
                "",
            )
        return shown

    def set_seed(self, seed: int | None) -> None:
        """A fixed seed, or None for a new one at every run."""
        self._set(lambda: setattr(self, "seed", None if seed is None else check_seed(seed)))

    def apply_preset(self, name: str) -> None:
        """Problem, solver and solver settings of a preset."""

        def change() -> None:
            preset: Preset = find_preset(name)
            physics = find_physics(preset.physics)
            self._problems[physics.name] = make(physics.settings_type, dict(preset.problem))
            self.physics = physics.name
            self.solver = preset.solver
            self._untune_solvers()
            for solver in (preset.solver, *preset.others):
                self._solver_settings[solver] = _tuned(solver, preset)
            self.preset = preset.name

        self._set(change)
        self._preparing.start()

    async def choose_preset(self, name: str) -> None:
        """Apply a preset, and open the bundled prior and image that belong to it in the place of other bundled ones.

        What the user has opened stays.
        """
        self.apply_preset(name)
        try:
            preset = find_preset(name)
            prior, demo = fitting_prior(preset.prior, self.device.type), resource(preset.demo)
            alternatives = priors_alike(preset.prior)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return
        if is_bundled(self.prior_path) and self.prior_path not in alternatives:
            await self.open_prior(prior)
        if is_bundled(self.data_path) and self.data_path != demo:
            await self.open_image(demo)

    def _set(self, change: Callable[[], None]) -> None:
        try:
            change()
        except PadisError as error:
            self.message.emit("error", str(error), "")
        self.settings_changed.emit()

    def job(self) -> Job | None:
        """The choices as they stand; None while data or prior are missing."""
        if self.prior is None or self.prior_path is None:
            return None
        imageless = find_physics(self.physics).imageless
        if self.image is None and not imageless:
            return None
        return Job(
            image=None if imageless else self.image, data_path=None if imageless else self.data_path,
            prior=self.prior, prior_path=self.prior_path, physics=self.physics, problem=self.problem,
            tiling=self.tiling, solver=self.solver, settings=self.solver_settings,
        )  # fmt: skip

    @property
    def stale(self) -> bool:
        """Whether the shown result belongs to other choices than the present ones."""
        job = self.job()
        return self._shown_job is not None and job is not None and not job.same_as(self._shown_job)

    def choices(self) -> Choices:
        """What is chosen now."""
        problems, solvers = self._problems, self._solver_settings
        snapshot = self.prior_path is not None and self.prior_path.suffix == ".pkl"
        size = self.prior.conventions.image_size if self.prior is not None and snapshot else None
        return Choices(
            data=None if self.data_path is None else str(self.data_path.resolve()),
            page=0 if self.image is None else self.image.page,
            reading={} if self.image is None else changes(self.image.reading, ReadingSettings()),
            prior=None if self.prior_path is None else str(self.prior_path.resolve()),
            training_image_size=size,
            physics=self.physics,
            problems={p.name: changes(problems[p.name], p.settings_type()) for p in PHYSICS},
            tiling=self.tiling.model_dump(mode="json"),
            solver=self.solver,
            solvers={s.name: changes(solvers[s.name], s.settings_type()) for s in SOLVERS},
            seed=self.seed, preset=self.preset,
        )  # fmt: skip

    async def use(self, choices: Choices) -> None:
        """Open what these choices name, unless it is open, and choose what they say; messages say what cannot be."""
        found = usable(choices)
        if choices.prior is not None and not _is_open(self.prior_path, choices.prior):
            await self.open_prior(Path(choices.prior), choices.training_image_size)
        open_now = None if self.image is None else (self.image.page, self.image.reading)
        wanted = (choices.page, found.reading)
        if choices.data is not None and not (_is_open(self.data_path, choices.data) and open_now == wanted):
            await self.open_image(Path(choices.data), *wanted)

        def change() -> None:
            self._problems |= found.problems
            self._solver_settings |= found.solvers
            self.physics, self.solver = find_physics(choices.physics).name, find_solver(choices.solver).name
            self.seed, self.preset = found.seed, choices.preset
            if self.prior is not None:
                self.prior.resolve_patch(found.tiling.patch)
            self.tiling = found.tiling

        self._set(change)
        for complaint in found.complaints:
            self.message.emit("warning", complaint, "")
        self._preparing.start()

    async def use_run(self, record: RunRecord) -> None:
        """Choose what a run was made of, its seed included: Run then gives the same again."""
        if self.run.active:
            self.message.emit(
                "warning", "Settings are brought back between runs; let this one end first.", ""
            )
            return
        await self.use(choices_from(record.recipe))

    # Files ----------------------------------------------------------------------------------------

    async def open_image(self, path: Path, page: int = 0, reading: ReadingSettings | None = None) -> bool:
        """Open a page of an image or a measurement; what was open stays where it cannot be read.

        A scan brings its geometry with it.
        """
        image = await self.attempt(self._io, read_image, path, page, reading)
        if image is None:
            if reading is None or not reading.dataset:
                await self.offer_datasets(Path(path))
            return False
        if self.prior is not None:
            try:
                image.with_channels(self.prior.channels)
            except PadisError as error:
                self.message.emit("error", str(error), "")
                return False
        before, self.image, self.data_path = self.image, image, Path(path)
        self._take_geometry(before, image)
        self.shown.clear()  # its pictures would stand beside a truth that is not theirs
        self.data_changed.emit()
        self._preparing.start(0)
        return True

    async def offer_datasets(self, path: Path) -> bool:
        """Ask which data set of a file is wanted, where it holds several."""
        try:
            found = await self.io(list_datasets, path)
        except PadisError:  # opening it has said why
            return False
        if sum(info.usable for info in found) < 2:
            return False
        self.dataset_wanted.emit(path, found)
        return True

    async def open_page(self, page: int) -> bool:
        """Open another page of the open file."""
        if self.data_path is None or self.image is None:
            return False
        return await self.open_image(self.data_path, page, self.image.reading)

    async def set_reading(self, changes: Mapping[str, Any]) -> bool:
        """Read the open file in another way: settings of :class:`ReadingSettings` by name."""
        if self.data_path is None or self.image is None:
            return False
        try:
            reading = make(ReadingSettings, self.image.reading.model_dump() | dict(changes))
            done = await self.open_image(self.data_path, self.image.page, reading)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            done = False
        if not done:
            self.data_changed.emit()  # whatever was tried in a field, what is open stands again
        return done

    def _take_geometry(self, before: Image | None, image: Image) -> None:
        """The physics and the geometry of a scan become the problem's; what was set by hand on the same scan stays."""
        measured = image.measured
        if measured is None or not measured.physics:
            return
        edited = None
        if before is not None and before.measured is not None and before.name == image.name:
            edited = before.measured, self.problem

        def change() -> None:
            self._problems[measured.physics] = scan_settings(measured, edited)
            self._choose_physics(measured.physics)

        self._set(change)

    def _choose_physics(self, name: str) -> None:
        if name != self.physics or self.preset is not None:
            self._untune_solvers()
        self.physics, self.preset = name, None

    def _untune_solvers(self) -> None:
        """What presets set in solvers was for their own problems; what was set by hand stays."""
        for solver, settings in self._solver_settings.items():
            if any(settings == _tuned(solver, preset) for preset in PRESETS):
                self._solver_settings[solver] = type(settings)()

    async def open_prior(self, path: Path, training_image_size: int | None = None) -> bool:
        """Open a checkpoint; what was open stays where it cannot be read.

        ``training_image_size`` is for published snapshots, which may leave it open.
        """
        if self.run.active or self.occupied_by:
            self.message.emit(
                "warning", "A prior is changed between runs; finish or cancel this one first.", ""
            )
            return False
        precision = fastest_precision(self.device)
        record = await self.attempt(self._io, read_record, path, training_image_size)
        if record is None:
            self.prior_changed.emit()
            return False
        prior = await self.attempt(
            self._compute, load_prior, Path(path), self.device, precision, training_image_size
        )
        if prior is None:
            self.prior_changed.emit()  # whatever was tried in a field, the open prior's stands again
            return False
        self.prior, self.prior_path, self.prior_record = prior, Path(path), record
        if self.tiling.patch is not None and self.tiling.patch not in prior.conventions.patch_sizes:
            self.tiling = _changed(self.tiling, "patch", None)
            self.message.emit(
                "info", "This prior was trained on other patch sizes; the largest is used now.", ""
            )
        self.prior_changed.emit()
        self.settings_changed.emit()
        self._preparing.start(0)
        return True

    async def use_device(self, name: str) -> bool:
        """Compute on another device from now on; the open prior moves there. Not while a run is under way."""
        if self.run.active:
            self.message.emit(
                "warning", "The device is changed between runs; finish or cancel this one first.", ""
            )
            return False
        try:
            device = pick_device(name)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return False
        if device == self.device:
            return True
        before, self.device = self.device, device
        size = None if self.prior is None else self.prior.conventions.image_size
        if self.prior_path is not None and not await self.open_prior(self.prior_path, size):
            self.device = before
        self.prior_changed.emit()
        return self.device == device

    async def open_demo(self) -> None:
        """The bundled slice and prior."""
        try:
            prior, image = fitting_prior(DEFAULT_PRIOR, self.device.type), resource(DEMO_IMAGE)
        except PadisError as error:
            self.message.emit("error", str(error), "")
            return
        await asyncio.gather(self.open_prior(prior), self.open_image(image))

    # Computing ------------------------------------------------------------------------------------

    def _prepare_soon(self) -> None:
        job = self.job()
        self._prepare_waits = self.run.active
        if (
            self._closed
            or job is None
            or self.run.active
            or self.occupied_by
            or (self.prepared and self.prepared.job.same_problem(job))
        ):
            return
        if job.preparing_multiplies and job.matrix_size > _CHEAP:
            return
        self.spawn(self._prepare(job))

    async def _prepare(self, job: Job) -> None:
        prepared = await self.attempt(self._compute, prepare, job, self.seed or 0)
        current = self.job()
        if prepared is not None and current is not None and current.same_problem(job):
            self._keep_prepared(prepared)

    def occupy(self, by: str) -> None:
        """Something else than a run has the compute thread from now on, until this is called with ""."""
        self.occupied_by = by
        self.settings_changed.emit()
        if not by:
            self._preparing.start()

    def _keep_prepared(self, prepared: Prepared) -> None:
        if prepared is not self.prepared:
            self.prepared = prepared
            self.prepared_changed.emit()

    def wanted_job(self) -> Job | None:
        """The choices as they stand; None, and a message, while data or prior are missing."""
        job = self.job()
        if job is None:
            what = "a prior" if self.prior is None else "an image"
            self.message.emit("warning", f"{what.capitalize()} is wanted before a run; open one.", "")
        return job

    def begin(self, job: Job, seed: int, *, paused: bool = False) -> None:
        """Run a job. It is shown, unless the user is looking at an earlier run or step."""
        self._running = job
        self.run.start(job, seed, self.prepared, paused=paused, history_budget=self.runs.make_room())
        if self.shown.live and self.shown.record is None:
            self._shown_job = job
            self.shown.follow(self.run.history)
        self.settings_changed.emit()

    # What is shown --------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The kept iterates of the shown run."""
        return self.shown.history

    @property
    def shown_step(self) -> int | None:
        """The step that is shown; None for the latest one, whatever comes."""
        return self.shown.step

    def shown_frame(self) -> Frame | None:
        """The iterate that panes, overlay and seam curves show; None while there is none."""
        frame, record, prepared = self.shown.frame(), self.shown.record, self.prepared
        if frame is None or frame.difference is not None or record is None or prepared is None:
            return frame
        return frame.against(prepared.truth) if prepared.job.is_of_data(record.recipe) else frame

    def show_run(self, record: RunRecord) -> None:
        """Put an earlier run's result in the panes; what is exported is then that one."""
        self.result = record.result
        self._shown_job = None
        self.shown.show(record)
        self.result_changed.emit()

    @property
    def device_text(self) -> str:
        """The device in words."""
        precision = f", {self.prior.precision}" if self.prior else ""
        return describe_device(self.device) + precision


S = TypeVar("S", bound=Settings)


def _is_open(path: Path | None, name: str) -> bool:
    return path is not None and path.resolve() == Path(name)


def _changed(settings: S, name: str, value: Any) -> S:
    if name not in type(settings).model_fields:
        raise SettingError(f"'{name}' is not a setting of this form; choose one that is shown.")
    return make(type(settings), settings.model_dump() | {name: value})


def _tuned(solver: str, preset: Preset) -> Settings:
    return make(find_solver(solver).settings_type, dict(preset.settings_for(solver)))
