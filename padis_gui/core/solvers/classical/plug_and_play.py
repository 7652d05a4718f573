"""Plug-and-play methods, and the denoisers that they call: the patch prior or a classical one, each told a noise level.

PnP-ADMM (Venkatakrishnan et al. 2013; Chan et al., arXiv 1605.01710) has a denoiser in the place of the prior's
proximal step.

    x = argmin ||A x - y||^2 + rho ||x - (z - u)||^2,    z = D(x + u, s),    u <- u + x - z

with rho = lambda s_y^2 / s^2. The noise level s falls geometrically, as in DPIR (arXiv 2008.13751); the scaled
dual u is rescaled with each new rho.

RED, regularisation by denoising (Romano, Elad and Milanfar, arXiv 1611.02862), by its fixed point iteration:

    x <- argmin ||A x - y||^2 / s_y^2 + ||x - D(x, s)||^2 (lambda / s^2)

which is its proximal gradient method with a step of 1 (Reehorst and Schniter, arXiv 1806.02296). lambda / s^2 is
the weight at which RED's gradient x - D(x, s) is the score of Tweedie's formula; s falls geometrically.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import Tiling
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Cost, Denoiser, MethodSettings, Setup, Step, Steps, geometric

DenoiserName = Literal["prior", "tv", "nlm"]


class PlugAndPlaySettings(MethodSettings):
    """What methods around a denoiser share: which one, and the noise levels it is told."""

    steps: int = setting(
        30, ge=1, le=10_000, label="Steps", symbol="n", help="Iterations, each with one denoiser call"
    )
    denoiser: DenoiserName = setting(
        "prior", label="Denoiser",
        help="The patch prior, Chambolle's total variation (tv) or non-local means (nlm)",
    )  # fmt: skip
    sigma_max: float = shared.highest_noise(0.5)
    sigma_min: float = shared.lowest_noise(0.01)
    cg_steps: int = shared.cg_steps(20)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(1e-3)

    @property
    def cost(self) -> Cost:
        """A data step and a call of the denoiser, where that is the prior, in each step."""
        calls = self.steps if self.denoiser == "prior" else 0
        return Cost(calls=calls, products=self.data_steps(self.steps))

    @property
    def levels(self) -> Tensor:
        """Geometric, (steps + 1,). Raises :class:`SettingError` unless sigma_min < sigma_max."""
        return geometric(self.steps, self.sigma_max, self.sigma_min)


# Measured best for white noise on CT slices and a phantom, at deviations of 0.05 and 0.2.
_TV_WEIGHT = 0.8
_NLM_DECAY = 0.7
# A tenth of scikit-image's: worth 0.5 dB at 20 views, as plug-and-play calls it on images with little noise.
_TV_TOLERANCE = 2e-5
_NLM_PATCH, _NLM_DISTANCE = 5, 6
_NLM_ROWS = 64


def _ask() -> None:
    """An operation of torch, before each of which a run is asked whether it may go on: the denoisers below have none."""
    torch.empty(0)


class _Tolerance(float):
    """What scikit-image multiplies in each of its iterations: so each can be stopped, and computes what it did."""

    def __mul__(self, other: float) -> float:
        _ask()
        return float(self) * other


def _total_variation(x: Tensor, sigma: float) -> Tensor:
    from skimage.restoration import denoise_tv_chambolle

    found = denoise_tv_chambolle(
        x.cpu().numpy(), weight=_TV_WEIGHT * sigma, eps=_Tolerance(_TV_TOLERANCE), channel_axis=0
    )  # type: ignore[no-untyped-call]
    return torch.from_numpy(found).to(x.device, x.dtype)


def _non_local_means(x: Tensor, sigma: float) -> Tensor:
    """A few rows after the other, each with as many around it as it looks at: the same bits as all of them at once."""
    from skimage.restoration import denoise_nl_means

    grey = x.shape[0] == 1  # scikit-image goes wrong where there is an axis of one channel
    image = np.moveaxis(x.cpu().numpy(), 0, -1)
    found, reach = np.empty_like(image), _NLM_DISTANCE + _NLM_PATCH // 2
    for first in range(0, len(image), _NLM_ROWS):
        _ask()
        start = max(0, first - reach)
        seen = image[start : first + _NLM_ROWS + reach]
        denoised = denoise_nl_means(
            seen[..., 0] if grey else seen, patch_size=_NLM_PATCH, patch_distance=_NLM_DISTANCE,
            h=_NLM_DECAY * sigma, sigma=sigma, channel_axis=None if grey else -1,
        ).reshape(seen.shape)  # fmt: skip
        found[first : first + _NLM_ROWS] = denoised[first - start :][:_NLM_ROWS]
    return torch.from_numpy(np.moveaxis(found, -1, 0)).to(x.device, x.dtype).contiguous()


def make_denoiser(name: DenoiserName, prior: PatchPrior, tiling: Tiling, *, apart: bool = False) -> Denoiser:
    """That denoiser: the prior through a partition that ``tiling`` draws, or a classical one, which runs on the CPU.

    Channels that are slices ``apart`` do not share their edges, as colours do.
    """
    if name != "prior":
        classical = _total_variation if name == "tv" else _non_local_means
        if apart:
            return lambda x, sigma, _: (torch.cat([classical(one[None], sigma) for one in x]), None)
        return lambda x, sigma, _: (classical(x, sigma), None)

    def denoise(x: Tensor, sigma: float, rng: torch.Generator) -> tuple[Tensor, Partition]:
        partition = tiling.draw(rng, sigma)
        return prior.denoise(x, sigma, partition, rng), partition

    return denoise


class PnPSettings(PlugAndPlaySettings):
    """Settings of :func:`pnp_admm`."""


def pnp_admm(setup: Setup, settings: PnPSettings) -> Steps[PnPSettings]:
    """One iterate for each denoiser call, from the baseline picture; the estimate is the data step's x."""
    A, y = setup.A, setup.y
    z = A.pinv(y).clamp(0, 1)
    u = torch.zeros_like(z)
    for sigma, following in setup.descent:
        x = A.prox(y, z - u, setup.rho(settings, sigma), settings.cg_steps)
        noisy = x + u
        z, partition = setup.denoise(noisy, sigma)
        u = (noisy - z) * (following / sigma) ** 2
        settings = yield Step(noisy, z.clone(), x, sigma, partition)


class REDSettings(PlugAndPlaySettings):
    """Settings of :func:`red`."""


def red(setup: Setup, settings: REDSettings) -> Steps[REDSettings]:
    """One iterate for each denoiser call, from the baseline picture."""
    A, y = setup.A, setup.y
    x = A.pinv(y).clamp(0, 1)
    for sigma, _ in setup.descent:
        denoised, partition = setup.denoise(x, sigma)
        x = A.prox(y, denoised, setup.rho(settings, sigma), settings.cg_steps)
        settings = yield Step(x, denoised.clone(), x.clone(), sigma, partition)
