"""Settings that several solvers have in common: declared here once, with each solver's own default.

A solver's settings class calls them where it would call :func:`~padis_gui.core.settings.declarations.setting`.
"""

from typing import Any

from padis_gui.core.settings.declarations import setting


def steps(default: int) -> Any:
    """How many noise levels n, where each is a step."""
    return setting(
        default,
        ge=1,
        le=10_000,
        label="Steps",
        symbol="n",
        help="Noise levels from the highest to the lowest",
    )


def iterations(default: int) -> Any:
    """How many iterations n, where their number is what regularises."""
    return setting(
        default, ge=1, le=10_000, label="Steps", symbol="n",
        help="Iterations; fewer are smoother, as noise comes in last",
    )  # fmt: skip


def noise_level_count(default: int) -> Any:
    """How many noise levels T, where a level takes more than one step."""
    return setting(
        default, ge=1, le=10_000, label="Noise levels", symbol="T", help="Noise levels, highest to lowest"
    )


def inner_steps(default: int) -> Any:
    """Langevin steps K at each noise level."""
    return setting(
        default, ge=1, le=1000, label="Inner steps", symbol="K", help="Langevin steps at each noise level"
    )


def highest_noise(default: float) -> Any:
    """sigma_max on the scale of an image in [0, 1]."""
    return setting(
        default, gt=0, le=200, label="Highest noise", symbol="σ_max", advanced=True,
        help="Noise level of the first step, relative to an image in [0, 1]: 3 suits 20 views or more, 10 fewer",
    )  # fmt: skip


def lowest_noise(default: float) -> Any:
    """sigma_min on the scale of an image in [0, 1]."""
    return setting(
        default, gt=0, le=1, label="Lowest noise", symbol="σ_min", advanced=True,
        help="Noise level of the last step",
    )  # fmt: skip


def cg_steps(default: int) -> Any:
    """Steps of conjugate gradients in one data step."""
    return setting(
        default, ge=1, le=200, label="CG steps", symbol="M", help="Conjugate-gradient steps in each data step"
    )


def prior_weight(default: float) -> Any:
    """lambda of the proximal data step, rho = lambda s_y^2 / sigma^2."""
    return setting(
        default, gt=0, le=1000, label="Prior weight", symbol="λ", live=True,
        help="Weight of the prior against the data; higher follows the prior more",
    )  # fmt: skip


def temperature(default: float) -> Any:
    """tau, the scale of the fresh noise."""
    return setting(
        default, ge=0, le=1, label="Temperature", symbol="τ", live=True,
        help="Scale of the fresh noise: 1 draws a sample, less comes nearer to the mean of all samples",
    )  # fmt: skip


def stochasticity(default: float) -> Any:
    """eta, the share of fresh noise."""
    return setting(
        default, ge=0, le=1, label="Stochasticity", symbol="η", live=True,
        help="Share of fresh noise at each step: 0 is deterministic, 1 forgets the old noise",
    )  # fmt: skip


def noise_floor(default: float) -> Any:
    """The smallest s_y assumed, as clean data have none, on the scale where ||A|| = 1."""
    return setting(
        default, gt=0, le=1, label="Noise floor", symbol="σ_y", advanced=True,
        help="Smallest measurement noise assumed, on the scale where ‖A‖ = 1",
    )  # fmt: skip
