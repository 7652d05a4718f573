"""Settings that several solvers have in common: declared here once, with each solver's own default.

A solver's settings class calls them where it would call :func:`~padis_gui.core.settings.declarations.setting`.
"""

from collections.abc import Mapping
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


def inner_steps(default: int, *, before: int | None = None, when: Mapping[str, Any] | None = None) -> Any:
    """Langevin steps K at each noise level."""
    return setting(
        default, ge=1, le=1000, label="Inner steps", symbol="K", before=before, when=when,
        help="Langevin steps at each noise level",
    )  # fmt: skip


def highest_noise(default: float) -> Any:
    """sigma_max on the scale of an image in [0, 1]."""
    return setting(
        default, gt=0, le=200, label="Highest noise", symbol="σ_max", advanced=True,
        help="Noise level of the first step, relative to an image in [0, 1]: 3 suits 20 views or more, 10 fewer",
    )  # fmt: skip


def first_noise(default: float) -> Any:
    """sigma_max where a method begins at a picture, not at noise alone."""
    return setting(
        default, gt=0, le=200, label="Highest noise", symbol="σ₀", advanced=True,
        help="Noise level of the first step, relative to an image in [0, 1]: 0.3 to 0.5 suit 20 views or more over half a "
        "turn, 2 fewer views or a limited angle",
    )  # fmt: skip


def langevin_length(
    default: float, *, before: float | None = None, when: Mapping[str, Any] | None = None
) -> Any:
    """epsilon of a Langevin step of length alpha = epsilon sigma^2."""
    return setting(
        default, gt=0, le=2, label="Langevin step", symbol="ε", live=True, before=before, when=when,
        help="α = εσ² of each Langevin step; 2 replaces all noise",
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


def stochasticity(default: float, *, when: Mapping[str, Any] | None = None) -> Any:
    """eta, the share of fresh noise."""
    return setting(
        default, ge=0, le=1, label="Stochasticity", symbol="η", live=True, when=when,
        help="Share of fresh noise at each step: 0 is deterministic, 1 forgets the old noise",
    )  # fmt: skip


def noise_floor(default: float) -> Any:
    """The smallest s_y assumed, as clean data have none, on the scale where ||A|| = 1."""
    return setting(
        default, gt=0, le=1, label="Noise floor", symbol="σ_y", advanced=True,
        help="Smallest measurement noise assumed, on the scale where ‖A‖ = 1",
    )  # fmt: skip


def exact_noise(default: bool, *, when: Mapping[str, Any] | None = None) -> Any:
    """Whether a Langevin step keeps the noise level of its state."""
    return setting(
        default, label="Exact noise", before=False, when=when,
        help="A Langevin step keeps the noise at σ: fresh noise is √(ε − ε²/4) σ; off it is √ε σ, as in the paper, and "
        "leaves σ/√(1 − ε/4) where the denoiser is told σ",
    )  # fmt: skip


def fade(default: float, *, before: float = 0.0, when: Mapping[str, Any] | None = None) -> Any:
    """sigma_f of steps that shrink with the noise level, zeta min(1, sigma/sigma_f); 0 never."""
    return setting(
        default, ge=0, le=200, label="Fading from", symbol="σ_f", advanced=True, before=before, when=when,
        help="Noise level below which the step towards the data shrinks with σ, so that it can settle; 0 is never. The "
        "published code has 0.2 in its Langevin solver",
    )  # fmt: skip


def faded(zeta: float, sigma: float, fade: float) -> float:
    """The step at a noise level; see :func:`fade`."""
    return zeta * min(1.0, sigma / fade) if fade else zeta
