"""The registry of solvers: one record a method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from padis_gui.core.errors import SettingError
from padis_gui.core.solvers.dds import DDSSettings, dds
from padis_gui.core.solvers.fast import BalancedSettings, FastSettings, fast
from padis_gui.core.solvers.iterate import Iterates, SolverSettings
from padis_gui.core.solvers.padis_dps import PaDISDPSSettings, padis_dps


@dataclass(frozen=True, slots=True)
class Solver:
    """``lower`` names the setting to lower when the solver diverges."""

    name: str
    label: str
    settings_type: type[SolverSettings]
    solve: Callable[..., Iterates[Any]]
    source: str
    summary: str
    lower: str


SOLVERS: tuple[Solver, ...] = (
    Solver(
        "fast", "Fast", FastSettings, fast, "DiffPIR, arXiv 2305.08995; jump-start, arXiv 2407.12956",
        "Jumps in at a middle noise level: 20 denoiser calls.", "step size ζ",
    ),
    Solver(
        "balanced", "Balanced", BalancedSettings, fast, "DiffPIR, arXiv 2305.08995",
        "The same data step, from pure noise in 50 denoiser calls.", "step size ζ",
    ),
    Solver(
        "dds", "DDS", DDSSettings, dds, "arXiv 2303.05754",
        "Conjugate gradients on the data from each denoised image.", "number of CG steps",
    ),
    Solver(
        "padis-dps", "PaDIS–DPS", PaDISDPSSettings, padis_dps, "arXiv 2406.02462, algorithm 1",
        "The paper's solver: Langevin steps with the data gradient through the network. 1000 calls.", "step "
        "size ζ",
    ),
)  # fmt: skip


def find_solver(name: str) -> Solver:
    """The solver of that name; raises :class:`SettingError` for others."""
    for solver in SOLVERS:
        if solver.name == name:
            return solver
    raise SettingError(
        f"The solver must be one of {', '.join(s.name for s in SOLVERS)}, but {name!r} was given; pick one "
        "of them."
    )
