"""The picture that the physics itself offers in one step: FBP, Wiener filter, harmonic fill, bicubic upsampling."""

import torch
from torch import Tensor

from padis_gui.core.baselines.plain import plain
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.settings import setting
from padis_gui.core.solvers.iterate import Iterates, MethodSettings, Recorder
from padis_gui.core.tiling import Tiling


class BackprojectionSettings(MethodSettings):
    """Settings of :func:`backprojection`."""

    clip: bool = setting(False, label="Clip", help="Clip the picture to the image's range, 0 to 1")


def backprojection(
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    levels: Tensor,
    settings: BackprojectionSettings,
    *,
    rng: torch.Generator,
) -> Iterates[BackprojectionSettings]:
    """One iterate, the operator's ``pinv``."""
    A, y = problem.operator, problem.measurement
    recorder = Recorder(A, y, 1)
    x = A.pinv(y)
    yield plain(recorder, x.clamp(0, 1) if settings.clip else x)
