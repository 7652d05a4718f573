"""How fast solvers are on this machine, and where their time goes.

The network is timed by hooks around its forward and its backward pass, the operator by a wrapper around its
products and closed forms; what is left is everything else. The problem's set-up (system matrix, its norm, the
weights) and one warm-up step are outside the clock. Each solver may run in a fresh process, so that its peak
memory is its own.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.timing import Stopwatch, TimedOperator, in_fresh_process, timed_network
from padis_gui.core.files.read import read_image
from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, prepare
from padis_gui.core.runs.presets import DEFAULT_PRIOR, DEMO_IMAGE, resource
from padis_gui.core.runs.recipe import draft_recipe
from padis_gui.core.settings.declarations import Settings, make
from padis_gui.core.settings.errors import DivergenceError, SettingError
from padis_gui.core.settings.machine import (
    MemoryPeak,
    Precision,
    describe_device,
    fastest_precision,
    pick_device,
    use_all_threads,
)
from padis_gui.core.solvers.registry import SOLVERS, find_solver

log = logging.getLogger(__name__)

# A solver of a thousand evaluations is cut short unless asked otherwise: each evaluation costs the same.
SHORT_RUNS: dict[str, dict[str, Any]] = {"padis-dps": {"steps": 8, "inner": 2}}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """What every solver of one bench works on; paths and plain values, so that it travels to a process.

    ``tuned`` are a preset's settings, by solver. ``steps`` replaces the number of noise levels of every solver
    that has them; ``full`` lets long solvers run to their end.
    """

    image: Path = field(default_factory=lambda: resource(DEMO_IMAGE))
    page: int = 0
    prior: Path = field(default_factory=lambda: resource(DEFAULT_PRIOR))
    physics: str = "ct-parallel"
    problem: PhysicsSettings = field(default_factory=ParallelBeamSettings)
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tiling: TilingSettings = field(default_factory=TilingSettings)
    steps: int | None = None
    full: bool = False
    seed: int = 0
    device: str = "auto"
    precision: Precision | None = None

    def changes_to(self, solver: str) -> dict[str, Any]:
        """What this bench changes in the settings that the solver has for this problem."""
        changed = {} if self.full else dict(SHORT_RUNS.get(solver, {}))
        if self.steps is not None and find_solver(solver).diffusion:
            changed["steps"] = self.steps
        return changed

    def settings_for(self, solver: str) -> Settings:
        """The settings that the solver is timed with."""
        return make(
            find_solver(solver).settings_type, {**self.own_settings(solver), **self.changes_to(solver)}
        )

    def method(self, solver: str) -> Method:
        """What that solver is timed on."""
        return Method(
            physics=self.physics, problem=self.problem, tiling=self.tiling, solver=solver,
            settings=self.settings_for(solver),
        )  # fmt: skip

    def own_settings(self, solver: str) -> dict[str, Any]:
        """The settings that the problem gives the solver."""
        return dict(self.tuned.get(solver, {}))

    def is_shortened(self, solver: str) -> bool:
        """Whether the solver is timed with other settings than those."""
        own = make(find_solver(solver).settings_type, self.own_settings(solver))
        return self.settings_for(solver) != own


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverTiming:
    """What one solver took. Shares are in percent and sum to 100; memory is in MiB.

    ``peak_memory_mb`` is the largest memory while the solver ran (resident on the CPU, allocated on CUDA)
    and ``added_memory_mb`` how much of it came on top of what the loaded program, prior and problem held.
    ``ratio`` is the time per evaluation relative to the first solver of the same bench that evaluates the prior;
    None for those that do not. ``psnr`` is None where the truth is not known. ``shortened`` runs had other
    settings than the solver's own; ``diverged`` ones ended early.
    """

    solver: str
    evaluations: int
    seconds: float
    network_seconds: float
    operator_seconds: float
    operator_products: int
    psnr: float | None
    peak_memory_mb: float
    added_memory_mb: float
    device: str
    precision: str
    shortened: bool = False
    diverged: bool = False
    ratio: float | None = 1.0

    @property
    def seconds_per_evaluation(self) -> float | None:
        """Seconds for one denoiser evaluation with all that belongs to it; None without any."""
        return self.seconds / self.evaluations if self.evaluations else None

    @property
    def network_share(self) -> float:
        """Percent of the time in the network, backward passes included."""
        return 100 * self.network_seconds / self.seconds

    @property
    def operator_share(self) -> float:
        """Percent of the time in the operator and its adjoint."""
        return 100 * self.operator_seconds / self.seconds

    @property
    def other_share(self) -> float:
        """Percent of the time in everything else."""
        return 100 - self.network_share - self.operator_share

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, for JSON."""
        derived = ("seconds_per_evaluation", "network_share", "operator_share", "other_share")
        names = [*self.__dataclass_fields__, *derived]
        found = {name: getattr(self, name) for name in names}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}


def time_solver(request: BenchRequest, name: str) -> SolverTiming:
    """Run one solver in this process and say what it took."""
    solver = find_solver(name)
    device = pick_device(request.device)
    use_all_threads()
    precision = request.precision or fastest_precision(device)
    prior = load_prior(request.prior, device, precision)
    image = None if find_physics(request.physics).imageless else read_image(request.image, request.page)
    opened = Opened(image=image, data_path=request.image, prior=prior, prior_path=request.prior)
    method = request.method(solver.name)
    recipe = draft_recipe(opened, method, request.seed)
    problem = prepare(opened, method, request.seed).problem
    _ = problem.operator.norm  # found once a problem
    memory = MemoryPeak(device)  # the warm-up allocates what the run then uses again
    warm_up = solve(recipe, problem, prior)
    next(warm_up)
    warm_up.close()

    network, operator = Stopwatch(device), Stopwatch(device)
    timed = replace(problem, operator=TimedOperator(problem.operator, operator))
    last, diverged = None, False
    whole = Stopwatch(device)
    with timed_network(prior.network, network), whole.span():
        try:
            for iterate in solve(recipe, timed, prior):
                last = iterate
        except DivergenceError as error:
            log.warning("%s: %s", solver.name, error)
            diverged = True
    if last is None:
        raise SettingError(f"{solver.label} diverged at its first step; give it its own number of steps.")
    peak, added = memory.read()
    return SolverTiming(
        solver=solver.name,
        evaluations=last.evaluations,
        seconds=whole.seconds,
        network_seconds=network.seconds,
        operator_seconds=operator.seconds,
        operator_products=operator.spans,
        psnr=None if problem.truth is None else psnr(last.estimate, problem.truth),
        peak_memory_mb=peak,
        added_memory_mb=added,
        device=describe_device(device),
        precision=precision,
        shortened=request.is_shortened(solver.name),
        diverged=diverged,
    )


def bench_solvers(
    request: BenchRequest,
    solvers: Sequence[str] = (),
    *,
    isolated: bool = True,
    started: Callable[[str], None] = lambda name: None,
) -> list[SolverTiming]:
    """Time the named solvers (all of them where none is named), one after the other.

    ``isolated`` gives each a fresh process, which is what makes the memory figures comparable. ``started`` is
    told each solver's name before its turn.
    """
    names = [find_solver(name).name for name in solvers] or [solver.name for solver in SOLVERS]
    for name in names:  # a wrong setting is said before the first long run
        request.settings_for(name)
    timings: list[SolverTiming] = []
    baseline: float | None = None
    for name in names:
        started(name)
        timing = in_fresh_process(time_solver, request, name) if isolated else time_solver(request, name)
        each = timing.seconds_per_evaluation
        baseline = baseline or each
        timings.append(replace(timing, ratio=each / baseline if each and baseline else None))
    return timings
