"""DDS: decomposed diffusion sampling (arXiv 2303.05754, algorithm 1), with the patch prior as denoiser.

Deviation: the paper's eta is 0.85; with the patch prior full stochasticity (1) is the better default.
"""

from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Setup, SolverSettings, Step, Steps


class DDSSettings(SolverSettings):
    """Settings of :func:`dds`."""

    cg_steps: int = shared.cg_steps(10)
    eta: float = shared.stochasticity(1.0)


def dds(setup: Setup, settings: DDSSettings) -> Steps[DDSSettings]:
    """x_hat = M steps of CG on A^T A x = A^T y from D; x <- x_hat + s' (sqrt(1-eta^2) (x-D)/s + eta eps)."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    for sigma, following in setup.descent:
        denoised, partition = setup.denoise(x, sigma)
        estimate = A.least_squares(y, denoised, settings.cg_steps)
        kept = (1 - settings.eta**2) ** 0.5 * (x - denoised) / sigma
        x = estimate + following * (kept + settings.eta * setup.normal(x))
        settings = yield Step(x, denoised, estimate, sigma, partition)
