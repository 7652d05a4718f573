"""What the baselines share: iterates without a noise level, and how far noisy data are to be explained."""

import math

import torch
from torch import Tensor

from padis_gui.core.operators.base import LinearOperator
from padis_gui.core.solvers.iterate import Iterate, Recorder


def plain(recorder: Recorder, x: Tensor) -> Iterate:
    """The iterate of a method that has no noise level and called no denoiser: all three pictures are x."""
    return recorder.iterate(0.0, x, x.clone(), x.clone(), None, evaluations=0)


def noise_norm(A: LinearOperator, y: Tensor, noise: float) -> float:
    """The expected ||A x - y|| of the true image: noise sqrt(m), m the entries of y that any image reaches.

    Entries that A never reaches (missing pixels, rays beside the image) add what they hold, as no image can
    explain it. 0 where ``noise``, the standard deviation of each entry of y, is 0.
    """
    if noise == 0:
        return 0.0
    probe = torch.rand(A.image_shape, generator=torch.Generator().manual_seed(0))
    reached = A(probe.to(y.device, y.dtype)) != 0
    return math.sqrt(noise**2 * int(reached.sum()) + float(y[~reached].square().sum()))
