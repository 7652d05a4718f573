"""How fast solvers are on this machine, and where their time goes.

The network is timed by hooks around its forward and its backward pass, the operator by a wrapper around both
its directions; what is left is everything else. The problem's set-up (system matrix, its norm, the weights)
and one warm-up step are outside the clock. Each solver may run in a fresh process, so that its peak memory is
its own.
"""

import logging
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padis_gui.core.checkpoint import load_prior
from padis_gui.core.data.read import read_image
from padis_gui.core.device import (
    describe_device,
    fastest_precision,
    peak_memory_mb,
    pick_device,
    use_all_threads,
)
from padis_gui.core.errors import DivergenceError, SettingError
from padis_gui.core.metrics import psnr
from padis_gui.core.operators.base import LinearOperator, Wrapper
from padis_gui.core.operators.ct import ParallelBeamSettings
from padis_gui.core.operators.settings import PhysicsSettings
from padis_gui.core.prior import Precision
from padis_gui.core.recipe import build_problem, make_recipe, solve
from padis_gui.core.resources import DEFAULT_PRIOR, DEMO_IMAGE, resource
from padis_gui.core.settings import make
from padis_gui.core.solvers import SOLVERS, find_solver
from padis_gui.core.tiling import TilingSettings

log = logging.getLogger(__name__)

# A solver of a thousand evaluations is cut short unless asked otherwise: each evaluation costs the same.
SHORT_RUNS: dict[str, dict[str, Any]] = {"padis-dps": {"steps": 8, "inner": 2}}


class Stopwatch:
    """Adds up wall-clock seconds between :meth:`start` and :meth:`stop`; spans inside a span count once.

    On CUDA the device is synchronised at both ends, so that its work is booked where it was asked for.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self.spans = 0
        self._device = device
        self._depth = 0
        self._began = 0.0

    def start(self) -> None:
        """Begin a span."""
        if self._depth == 0:
            self._began = self._now()
        self._depth += 1

    def stop(self) -> None:
        """End the span begun last."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += self._now() - self._began
            self.spans += 1

    @contextmanager
    def span(self) -> Iterator[None]:
        """A span as a context."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


class TimedOperator(Wrapper):
    """The same linear map, with its forward, adjoint and baseline under a stopwatch."""

    def __init__(self, of: LinearOperator, watch: Stopwatch) -> None:
        super().__init__(of)
        self._watch = watch

    @cached_property
    def norm(self) -> float:
        """The norm that the wrapped operator has found; not timed, as a window finds it once a problem."""
        return self._of.norm

    def _forward(self, x: Tensor) -> Tensor:
        with self._watch.span():
            return self._of._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        with self._watch.span():
            return self._of._adjoint(y)

    def pinv(self, y: Tensor) -> Tensor:
        with self._watch.span():
            return self._of.pinv(y)


@contextmanager
def timed_network(network: nn.Module, watch: Stopwatch) -> Iterator[None]:
    """Book the network's forward and backward passes on ``watch`` while the context lasts."""
    handles = [
        network.register_forward_pre_hook(lambda *_: watch.start()),
        network.register_forward_hook(lambda *_: watch.stop()),
        network.register_full_backward_pre_hook(lambda *_: watch.start()),
        network.register_full_backward_hook(lambda *_: watch.stop()),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """What every solver of one bench works on; paths and plain values, so that it travels to a process.

    ``steps`` replaces every solver's number of noise levels; ``full`` lets long solvers run to their end.
    """

    image: Path = field(default_factory=lambda: resource(DEMO_IMAGE))
    page: int = 0
    prior: Path = field(default_factory=lambda: resource(DEFAULT_PRIOR))
    physics: str = "ct-parallel"
    problem: PhysicsSettings = field(default_factory=ParallelBeamSettings)
    tiling: TilingSettings = field(default_factory=TilingSettings)
    steps: int | None = None
    full: bool = False
    seed: int = 0
    device: str = "auto"
    precision: Precision | None = None

    def settings_for(self, solver: str) -> dict[str, Any]:
        """The settings that this bench changes from the solver's defaults."""
        changed = {} if self.full else dict(SHORT_RUNS.get(solver, {}))
        return changed if self.steps is None else changed | {"steps": self.steps}


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverTiming:
    """What one solver took. Shares are in percent and sum to 100; memory is in MiB.

    ``peak_memory_mb`` is the largest memory while the solver ran (resident on the CPU, allocated on CUDA)
    and ``added_memory_mb`` how much of it came on top of what the loaded program, prior and problem held.
    ``ratio`` is the time per evaluation relative to the first solver of the same bench. ``shortened`` runs
    had other settings than the solver's own; ``diverged`` ones ended early.
    """

    solver: str
    evaluations: int
    seconds: float
    network_seconds: float
    operator_seconds: float
    operator_products: int
    psnr: float
    peak_memory_mb: float
    added_memory_mb: float
    device: str
    precision: str
    shortened: bool = False
    diverged: bool = False
    ratio: float = 1.0

    @property
    def seconds_per_evaluation(self) -> float:
        """Seconds for one denoiser evaluation with all that belongs to it."""
        return self.seconds / self.evaluations

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
    changed = request.settings_for(solver.name)
    settings = make(solver.settings_type, changed)
    device = pick_device(request.device)
    use_all_threads()
    precision = request.precision or fastest_precision(device)
    prior = load_prior(request.prior, device, precision)
    image = read_image(request.image, request.page)
    recipe = make_recipe(
        image=image, data_path=request.image, prior=prior, prior_path=request.prior,
        physics=request.physics, problem=request.problem, tiling=request.tiling, solver=solver.name,
        settings=settings, seed=request.seed,
    )  # fmt: skip
    problem = build_problem(image, prior, request.physics, request.problem, request.seed)
    _ = problem.operator.norm  # found once a problem
    memory = _MemoryPeak(device)  # the warm-up allocates what the run then uses again
    warm_up = solve(recipe, problem, prior)
    next(warm_up)
    warm_up.close()

    network, operator = Stopwatch(device), Stopwatch(device)
    timed = replace(problem, operator=TimedOperator(problem.operator, operator))
    evaluations, estimate, diverged = 0, None, False
    whole = Stopwatch(device)
    with timed_network(prior.network, network), whole.span():
        try:
            for iterate in solve(recipe, timed, prior):
                evaluations, estimate = iterate.evaluations, iterate.estimate
        except DivergenceError as error:
            log.warning("%s: %s", solver.name, error)
            diverged = True
    if estimate is None or problem.truth is None:
        raise SettingError(f"{solver.label} diverged at its first step; give it its own number of steps.")
    peak, added = memory.read()
    return SolverTiming(
        solver=solver.name,
        evaluations=evaluations,
        seconds=whole.seconds,
        network_seconds=network.seconds,
        operator_seconds=operator.seconds,
        operator_products=operator.spans,
        psnr=psnr(estimate, problem.truth),
        peak_memory_mb=peak,
        added_memory_mb=added,
        device=describe_device(device),
        precision=precision,
        shortened=settings != solver.settings_type(),
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
        make(find_solver(name).settings_type, request.settings_for(name))
    timings: list[SolverTiming] = []
    for name in names:
        started(name)
        timing = _in_fresh_process(request, name) if isolated else time_solver(request, name)
        baseline = timings[0].seconds_per_evaluation if timings else timing.seconds_per_evaluation
        timings.append(replace(timing, ratio=timing.seconds_per_evaluation / baseline))
    return timings


def _in_fresh_process(request: BenchRequest, name: str) -> SolverTiming:
    with ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(max_workers=1, mp_context=context))
        return pool.submit(time_solver, request, name).result()


class _MemoryPeak:
    """The largest memory since it was made, and how much that adds to what was there then; in MiB.

    On Linux the kernel's high-water mark of resident memory is reset first. Elsewhere the process's peak so
    far is all there is, which a fresh process makes meaningful.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / 2**20
            return
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # 5: reset VmHWM (proc(5))
        except OSError:
            log.debug("The peak of resident memory cannot be reset here; it counts from the process's start.")
        self._before = _resident("VmRSS") or peak_memory_mb(device)

    def read(self) -> tuple[float, float]:
        """Peak, and what it adds."""
        peak = peak_memory_mb(self._device)
        if self._device.type == "cpu":
            peak = _resident("VmHWM") or peak
        return peak, max(0.0, peak - self._before)


def _resident(entry: str) -> float:
    """An entry of /proc/self/status in MiB; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith(f"{entry}:")), 0.0)
