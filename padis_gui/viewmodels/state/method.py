"""What is chosen for the next run: problem, tiling, solver and seed; each physics and solver keeps its own settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image
from padis_gui.core.physics.problem import scan_settings
from padis_gui.core.physics.registry import PHYSICS, find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS, Preset, find_preset, nearest_preset
from padis_gui.core.runs.recipe import check_seed
from padis_gui.core.settings.declarations import Settings, make
from padis_gui.core.settings.errors import PadisError, SettingError
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.registry import SOLVERS, find_solver
from padis_gui.viewmodels.state.background import Background


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """What is chosen of problem and solver."""

    physics: str
    problems: dict[str, PhysicsSettings]
    solver: str
    solvers: dict[str, Settings]
    preset: str | None


class ChosenMethod(QObject):
    """Setters check, keep what was there where the new value is bad, and say why.

    ``changed`` is emitted after every attempt, since a field must show what holds; ``problem_changed`` where something
    else is to be measured; ``solving_changed`` with the method before and after, where a setting of the solver or the
    tiling was changed. ``preset`` is None once problem or solver have been changed by hand; ``seed`` None draws a new
    one at every run. ``seed_of`` names the run that a seed came back with, "" for the user's own one, which then is
    :attr:`own_seed`.
    """

    changed = Signal()
    problem_changed = Signal()
    solving_changed = Signal(object, object)

    def __init__(self, background: Background) -> None:
        super().__init__(background)
        self._background = background
        self._prior: PatchPrior | None = None
        self._problems: dict[str, PhysicsSettings] = {p.name: p.settings_type() for p in PHYSICS}
        self._solvers: dict[str, Settings] = {s.name: s.settings_type() for s in SOLVERS}
        self.physics = PHYSICS[0].name
        self.solver = SOLVERS[0].name
        self.tiling = TilingSettings()
        self.adapts = False
        self.adaptation = AdaptationSettings()
        self.stack = StackSettings()  # of volumes
        self.seed: int | None = None
        self.own_seed: int | None = None  # of the user, whichever holds now
        self.seed_of = ""
        self.preset: str | None = None
        self.wishes = 0  # so many times the user has chosen something
        self._scan: str | None = None  # the physics of the scan that is open, whose geometry is the problem's
        self._aside: _Choice | None = None  # what is chosen for images while a scan is open
        self._since: _Choice | None = None  # what was chosen when that scan had been opened
        self.apply_preset(DEFAULT_PRESET)

    @property
    def problem(self) -> PhysicsSettings:
        """The settings of the chosen measurement."""
        return self._problems[self.physics]

    @property
    def settings(self) -> Settings:
        return self._solvers[self.solver]

    @property
    def now(self) -> Method:
        """All of it, but for the seed."""
        return Method(
            physics=self.physics, problem=self.problem, tiling=self.tiling, solver=self.solver,
            settings=self.settings, positions=self._prior is None or self._prior.positions,
            adaptation=self.adaptation if self.adapts else None,
            stack=None if self.stack == StackSettings() else self.stack,
        )  # fmt: skip

    @property
    def problems(self) -> dict[str, PhysicsSettings]:
        """The settings of every physics by its name."""
        return dict(self._problems)

    @property
    def solvers(self) -> dict[str, Settings]:
        """The settings of every solver by its name."""
        return dict(self._solvers)

    def settings_of(self, solver: str) -> Settings:
        """The settings of any solver."""
        return self._solvers[find_solver(solver).name]

    # What the user chooses --------------------------------------------------------------------------

    def set_physics(self, name: str) -> None:
        """Choose what is measured; its own settings come back with it."""
        self._set(lambda: self._choose_physics(find_physics(name).name, scan=False))

    def set_problem(self, name: str, value: Any) -> None:
        """Change one setting of the measurement."""

        def change() -> None:
            before = self.settings
            self._problems[self.physics] = changed(self.problem, name, value)
            self._follow_problem(scan=self.physics == self._scan)
            self.preset = None
            if (
                self.settings != before
                and (nearest := nearest_preset(self.physics, self.problem)) is not None
            ):
                label = find_solver(self.solver).label
                self._background.message.emit(
                    "info",
                    f"{label} has the settings of the preset {nearest.label} now; what is changed by hand stays.",
                    "",
                )

        self._set(change)

    def set_tiling(self, name: str, value: Any) -> None:
        """Change the strategy or the patch size; a running solver tiles so from its next iterate on."""

        def change() -> None:
            before, tiling = self.now, changed(self.tiling, name, value)
            self._check_patch(tiling)
            self.tiling = tiling
            self.solving_changed.emit(before, self.now)

        self._set(change)

    def set_adapting(self, wanted: bool) -> None:
        """Whether the next run adapts the prior to the measurement first."""

        def change() -> None:
            self.adapts = wanted

        self._set(change)

    def set_adaptation(self, name: str, value: Any) -> None:
        """Change one setting of the adaptation."""

        def change() -> None:
            self.adaptation = changed(self.adaptation, name, value)

        self._set(change)

    def set_stack(self, name: str, value: Any) -> None:
        """Change how the slices of a volume are denoised together."""

        def change() -> None:
            self.stack = changed(self.stack, name, value)

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
            before = self.now
            self._solvers[self.solver] = changed(self.settings, name, value)
            self.preset = None
            self.solving_changed.emit(before, self.now)

        self._set(change)

    def set_seed(self, seed: int | None) -> None:
        """A fixed seed, or None for a new one at every run."""
        self._set(lambda: self._choose_seed(None if seed is None else check_seed(seed)))

    def give_back_seed(self) -> bool:
        """The user's own seed again, where that of an earlier run holds; returns whether one did."""
        lent = bool(self.seed_of)
        if lent:
            self._set(lambda: self._choose_seed(self.own_seed), by_user=False)
        return lent

    def apply_preset(self, name: str) -> None:
        """Problem, solver and solver settings of a preset.

        An open scan keeps its geometry: the solver is taken for it, the rest holds for the next image.
        """

        def change() -> None:
            preset = find_preset(name)
            scan = self._scan
            imageless = find_physics(preset.physics).imageless
            if scan is None or imageless:
                self._take_preset(preset)
                return
            of_scan = self._problems[scan]
            if self._aside is not None:
                self._choose(self._aside)
            self._take_preset(preset)
            self._aside = self._choice
            self._problems[scan] = of_scan
            self._choose_physics(scan, scan=True)
            self._since = self._choice
            if preset.physics != scan:
                self._background.message.emit(
                    "info",
                    f"{preset.label} is for images, and a scan is open; it is kept for the next image.",
                    "",
                )

        self._set(change)

    def name_preset(self, name: str) -> None:
        """The choices as they stand are what this preset says."""
        self.preset = name
        self.changed.emit()

    def _take_preset(self, preset: Preset) -> None:
        self._problems[preset.physics] = preset.problem_settings()
        for solver in (preset.solver, *preset.others):
            self._solvers[solver] = preset.solver_settings(solver)
        self.physics, self.solver = preset.physics, preset.solver
        self._follow_problem()
        self.preset = preset.name

    def choose(
        self,
        *,
        problems: dict[str, PhysicsSettings],
        physics: str,
        tiling: TilingSettings,
        solvers: dict[str, Settings],
        solver: str,
        seed: int | None,
        preset: str | None,
        seed_of: str = "",
        own_seed: int | None = None,
        adapts: bool = False,
        adaptation: AdaptationSettings | None = None,
        stack: StackSettings | None = None,
    ) -> None:
        """All of it at once; settings of physics and solvers that are not named stay.

        A seed that is that of a run, named ``seed_of``, leaves ``own_seed`` as the user's.
        """

        def change() -> None:
            self._problems |= problems
            self._solvers |= solvers
            self.physics, self.solver = find_physics(physics).name, find_solver(solver).name
            self._choose_seed(seed, seed_of, own_seed)
            self.preset = preset
            self._check_patch(tiling)
            self.tiling = tiling
            self.adapts, self.adaptation = adapts, adaptation or AdaptationSettings()
            self.stack = stack or StackSettings()

        self._set(change)

    # What is opened ---------------------------------------------------------------------------------

    def fit_to(self, prior: PatchPrior | None) -> None:
        """Another prior is open: a patch size that it was not trained on makes place for its largest."""
        self._prior = prior
        if prior is None:
            return
        if self.tiling.patch is not None and self.tiling.patch not in prior.conventions.patch_sizes:
            self.tiling = changed(self.tiling, "patch", None)
            self._background.message.emit(
                "info", "This prior was trained on other patch sizes; the largest is used now.", ""
            )
        self.changed.emit()

    def take_data(self, before: Image | None, image: Image | None) -> None:
        """The physics and the geometry of a scan become the problem's, and go with it.

        ``before`` is what was open before ``image``. What was set by hand on the same scan stays.
        """
        measured = None if image is None else image.measured
        scan = measured.physics if measured is not None else ""
        again = image is not None and before is not None and before.name == image.name and scan == self._scan
        if not scan and self._scan is None:
            return

        def change() -> None:
            edited = None
            if again and before is not None and before.measured is not None:
                edited = before.measured, self._problems[scan]
            else:
                self._leave_scan()
                self._aside = self._choice if scan else None
            if scan and measured is not None:
                self._scan = scan
                self._problems[scan] = scan_settings(measured, edited)
                self._choose_physics(scan, scan=True)
                self._since = self._since if again else self._choice

        self._set(change, by_user=False)

    def _leave_scan(self) -> None:
        """No scan is open any more: what was chosen for images holds again, but for what was chosen since."""
        scan, aside, since = self._scan, self._aside, self._since
        self._scan = self._aside = self._since = None
        if scan is None or aside is None or since is None:
            return
        now = self._choice
        self._problems[scan] = aside.problems[scan]
        if self.physics == scan:
            self.physics = aside.physics
            if (now.solver, now.solvers) == (since.solver, since.solvers):
                self.solver, self._solvers, self.preset = aside.solver, dict(aside.solvers), aside.preset

    @property
    def _choice(self) -> _Choice:
        return _Choice(
            physics=self.physics, problems=dict(self._problems), solver=self.solver, solvers=dict(self._solvers),
            preset=self.preset,
        )  # fmt: skip

    def _choose(self, choice: _Choice) -> None:
        self.physics, self.solver, self.preset = choice.physics, choice.solver, choice.preset
        self._problems, self._solvers = dict(choice.problems), dict(choice.solvers)

    def _choose_seed(self, seed: int | None, seed_of: str = "", own_seed: int | None = None) -> None:
        self.seed, self.seed_of, self.own_seed = seed, seed_of, own_seed if seed_of else seed

    def _check_patch(self, tiling: TilingSettings) -> None:
        if self._prior is not None:
            self._prior.resolve_patch(tiling.patch)

    def _choose_physics(self, name: str, *, scan: bool) -> None:
        again = name == self.physics and self.preset is None
        self.physics, self.preset = name, None
        if not again:
            self._follow_problem(scan=scan)

    def _follow_problem(self, *, scan: bool = False) -> None:
        """What presets set in solvers was for their own problems, and becomes what is set for this one.

        What was set by hand stays: settings that are neither a solver's defaults nor any preset's.
        """
        tuned = find_preset(DEFAULT_PRESET).tuned_for(self.physics, self.problem, scan=scan)
        for solver, settings in self._solvers.items():
            if settings in (type(settings)(), *(preset.solver_settings(solver) for preset in PRESETS)):
                self._solvers[solver] = tuned.solver_settings(solver)

    def _set(self, change: Callable[[], None], *, by_user: bool = True) -> None:
        before = self.now
        if by_user:
            self.wishes += 1
        try:
            change()
        except PadisError as error:
            self._background.message.emit("error", str(error), "")
        self.changed.emit()
        if not self.now.measures_as(before):
            self.problem_changed.emit()


S = TypeVar("S", bound=Settings)


def changed(settings: S, name: str, value: Any) -> S:
    """The settings with one of them changed; raises :class:`SettingError` where they have none of that name."""
    if name not in type(settings).model_fields:
        raise SettingError(f"'{name}' is not a setting of this form; choose one that is shown.")
    return make(type(settings), settings.model_dump() | {name: value})
