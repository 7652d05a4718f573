"""The registry of solvers: one record a method."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import Tiling
from padis_gui.core.settings.declarations import Registry, Settings
from padis_gui.core.solvers.classical.backprojection import BackprojectionSettings, backprojection
from padis_gui.core.solvers.classical.least_squares import LeastSquaresSettings, least_squares
from padis_gui.core.solvers.classical.plug_and_play import PnPSettings, REDSettings, pnp_admm, red
from padis_gui.core.solvers.classical.sirt import SIRTSettings, sirt
from padis_gui.core.solvers.classical.tv import TVSettings, tv
from padis_gui.core.solvers.diffusion.admm import FastSettings, QualitySettings, admm
from padis_gui.core.solvers.diffusion.daps import DAPSSettings, daps
from padis_gui.core.solvers.diffusion.ddnm import DDNMSettings, ddnm
from padis_gui.core.solvers.diffusion.dds import DDSSettings, dds
from padis_gui.core.solvers.diffusion.diffpir import DiffPIRSettings, diffpir
from padis_gui.core.solvers.diffusion.langevin import (
    LangevinCGSettings,
    LangevinSettings,
    langevin,
    langevin_cg,
)
from padis_gui.core.solvers.diffusion.langevin_proximal import LangevinProximalSettings, langevin_proximal
from padis_gui.core.solvers.diffusion.padis_dps import PaDISDPSSettings, padis_dps
from padis_gui.core.solvers.diffusion.padis_dps_preconditioned import (
    PreconditionedDPSSettings,
    padis_dps_preconditioned,
)
from padis_gui.core.solvers.diffusion.pigdm import PiGDMSettings, pigdm
from padis_gui.core.solvers.diffusion.predictor_corrector import (
    PredictorCorrectorSettings,
    predictor_corrector,
)
from padis_gui.core.solvers.diffusion.red_diff import REDDiffSettings, red_diff
from padis_gui.core.solvers.diffusion.resample import ReSampleSettings, resample
from padis_gui.core.solvers.driver import drive
from padis_gui.core.solvers.iterate import Cost, Iterates, MethodSettings, Setup, SolverSettings, Steps


@dataclass(frozen=True, slots=True)
class Solver:
    """``solve`` is the method as its paper has it; one without a denoiser takes only a :class:`ClassicalSetup`.

    ``lower`` names the setting to lower when the solver diverges. The settings of a baseline are no
    :class:`SolverSettings`.
    """

    name: str
    label: str
    settings_type: type[MethodSettings]
    solve: Callable[[Setup, Any], Steps[Any]]
    source: str
    summary: str
    lower: str

    def iterates(
        self, problem: Problem, prior: PatchPrior, tiling: Tiling, settings: Settings, rng: torch.Generator
    ) -> Iterates[Any]:
        """A run on a problem, computed as it is asked for; see :func:`~padis_gui.core.solvers.driver.drive`."""
        return drive(self.solve, problem, prior, tiling, self._of_method(settings), rng, lower=self.lower)

    def cost(self, settings: Settings) -> Cost:
        """What a run with these settings consists of."""
        return self._of_method(settings).cost

    def calls_of_step(self, settings: Settings) -> int:
        """How many denoiser calls a step with these settings has, on the mean."""
        method = self._of_method(settings)
        return math.ceil(method.cost.calls / max(1, method.iterates))

    @property
    def diffusion(self) -> bool:
        """Whether it walks down noise levels with the prior; else it is a baseline."""
        return issubclass(self.settings_type, SolverSettings)

    def levels(self, settings: Settings) -> Tensor:
        """The noise levels of these settings, ending in 0; none where there is no denoiser.

        Raises :class:`SettingError` for levels that do not fall.
        """
        return self._of_method(settings).levels

    def _of_method(self, settings: Settings) -> MethodSettings:
        assert isinstance(settings, MethodSettings), "what is in the registry"
        return settings


SOLVERS = Registry("solver", (
    Solver(
        "fast", "Fast", FastSettings, admm, "PnP-ADMM, arXiv 1605.01710; DPIR, arXiv 2008.13751",
        "ADMM around the patch prior, from the baseline picture: 14 denoiser calls.", "step size ζ",
    ),
    Solver(
        "quality", "Quality", QualitySettings, admm, "PnP-ADMM, arXiv 1605.01710; DPIR, arXiv 2008.13751",
        "The same in smaller steps: 36 denoiser calls.", "step size ζ",
    ),
    Solver(
        "diffpir", "DiffPIR", DiffPIRSettings, diffpir, "arXiv 2305.08995; jump-start, arXiv 2407.12956",
        "Diffusion from pure noise with an exact data step: 80 denoiser calls.", "step size ζ",
    ),
    Solver(
        "langevin-cg", "Langevin + CG", LangevinCGSettings, langevin_cg,
        "Langevin of arXiv 2406.02462 with CG data steps",
        "Langevin steps around an exact data step: 200 denoiser calls.", "step size ε",
    ),
    Solver(
        "dds", "DDS", DDSSettings, dds, "arXiv 2303.05754",
        "Conjugate gradients on the data from each denoised image.", "number of CG steps",
    ),
    Solver(
        "padis-dps", "PaDIS–DPS", PaDISDPSSettings, padis_dps, "arXiv 2406.02462, algorithm 1",
        "The paper's solver: Langevin steps with the data gradient through the network. 1000 calls.",
        "step size ζ",
    ),
    Solver(
        "padis-dps-preconditioned", "PaDIS–DPS, preconditioned", PreconditionedDPSSettings, padis_dps_preconditioned,
        "arXiv 2406.02462, algorithm 1; ΠGDM (Song et al., ICLR 2023), equation 7; start and temperature as DiffPIR, "
        "arXiv 2305.08995",
        "The paper's solver with a data step that is solved for, taken through the network: 100 calls with their gradient.",
        "step size ζ",
    ),
    Solver(
        "langevin", "Langevin", LangevinSettings, langevin, "arXiv 2406.02462",
        "Langevin steps with a plain gradient step on the data. 400 calls.", "step size ζ",
    ),
    Solver(
        "langevin-proximal", "Langevin, proximal", LangevinProximalSettings, langevin_proximal,
        "Langevin of arXiv 2406.02462 with the data step of arXiv 2111.08005, section 3.2",
        "Langevin steps with a data step that is solved for at the noisy image: 100 denoiser calls.", "step size ε",
    ),
    Solver(
        "predictor-corrector", "Predictor–corrector", PredictorCorrectorSettings, predictor_corrector,
        "arXiv 2011.13456, algorithm 2", "Reverse diffusion and a Langevin correction. 200 calls.", "step size r",
    ),
    Solver(
        "ve-ddnm", "VE-DDNM", DDNMSettings, ddnm, "arXiv 2212.00490; arXiv 2406.02462",
        "Replaces what the data determine, keeps the null space of the prior's image.", "number of CG steps",
    ),
    Solver(
        "pigdm", "ΠGDM", PiGDMSettings, pigdm, "Song et al., ICLR 2023, algorithm 1; arXiv 2305.04391, section 4",
        "Pseudoinverse guidance through the network: 100 calls with their gradient.", "stochasticity η",
    ),
    Solver(
        "red-diff", "RED-diff", REDDiffSettings, red_diff, "arXiv 2305.04391, algorithm 1",
        "Adam on the data and on regularisation by denoising, down the noise levels: 100 denoiser calls.", "step size γ",
    ),
    Solver(
        "resample", "ReSample", ReSampleSettings, resample, "arXiv 2307.08123, algorithm 1, in pixel space",
        "Unconditional steps, some followed by a hard data step and a resampling: 100 denoiser calls.", "resampling γ",
    ),
    Solver(
        "daps", "DAPS", DAPSSettings, daps, "arXiv 2407.01521, algorithm 1",
        "Several samples of the posterior: their mean, and their deviation as a map of doubt. 140 calls.",
        "spread κ",
    ),
    Solver(
        "baseline", "Baseline", BackprojectionSettings, backprojection, "the operator's own pseudo-inverse",
        "What the physics offers in one step: FBP for CT, the Wiener filter for blur. No prior.",
        "noise of the measurement",
    ),
    Solver(
        "least-squares", "Least squares", LeastSquaresSettings, least_squares,
        "Hestenes and Stiefel 1952; arXiv 1204.3982",
        "Conjugate gradients on the data, stopped early. No prior.", "number of steps",
    ),
    Solver(
        "sirt", "SIRT", SIRTSettings, sirt, "Gilbert 1972, doi 10.1016/0022-5193(72)90180-4",
        "Simultaneous updates weighted by the rays' and pixels' sums. No prior.", "relaxation λ",
    ),
    Solver(
        "tv", "Total variation", TVSettings, tv, "Chambolle and Pock 2011, doi 10.1007/s10851-010-0251-1",
        "The image of least total variation that explains the data. No learned prior.", "number of steps",
    ),
    Solver(
        "pnp-admm", "PnP-ADMM", PnPSettings, pnp_admm, "arXiv 1605.01710",
        "ADMM around a denoiser: the patch prior, total variation or non-local means.", "prior weight λ",
    ),
    Solver(
        "red", "RED", REDSettings, red, "arXiv 1611.02862",
        "Fixed point of the data and a denoiser: the patch prior, total variation or non-local means.",
        "prior weight λ",
    ),
))  # fmt: skip
find_solver = SOLVERS.find
