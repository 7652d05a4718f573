"""RED, regularisation by denoising (Romano, Elad and Milanfar, arXiv 1611.02862), by its fixed point iteration:

    x <- argmin ||A x - y||^2 / s_y^2 + ||x - D(x, s)||^2 (lambda / s^2)

which is its proximal gradient method with a step of 1 (Reehorst and Schniter, arXiv 1806.02296). lambda / s^2 is
the weight at which RED's gradient x - D(x, s) is the score of Tweedie's formula; s falls geometrically.
"""

from padis_gui.core.solvers._j_iterate__core_solvers_iterate import Setup, Step, Steps
from padis_gui.core.solvers.classical._j_plug_and_play__core_baselines_denoisers import PlugAndPlaySettings


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
