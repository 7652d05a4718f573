"""Smoothing along z: the estimate of a slice drawn towards those of its neighbours where its data know little.

Smoothing along z is a last data step. With x̂ the estimate of a slice and x̂₋, x̂₊ those of its neighbours, each made by
itself, and ‖A‖ = 1, the result is

    argmin over x of  ‖A (x − x̂)‖² + ρ (‖x − x̂‖² + λ_z ‖x − x̂₋‖² + λ_z ‖x − x̂₊‖²),     ρ = σ_y² / τ².

The first two terms, over σ_y², are the posterior of a slice in Laplace's approximation: its estimate x̂ has seen the
measurement already, with noise σ_y, and what the measurement says nothing of has an error of τ. The neighbours are
further observations, with an error of τ / √λ_z. (With the measurement y in the place of A x̂ its noise would count
twice: without neighbours the step would fit it once more.) The sum of squares is one square around the weighted mean v
of the estimates, so that the step is the prox at v of a measurement A x̂ with weight ρ (1 + n λ_z), n neighbours. What
the data know stays; where they are silent or noisy the slices agree.

Where slices are measured together, as in a cone beam, the step is one for all of them; the first and the last slice then
have their one neighbour twice, so that n is 2 everywhere.
"""

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.slicewise import Slicewise
from padis_gui.core.prior.slices import reflected
from padis_gui.core.solvers.iterate import unit_norm

# τ, the error of an estimate: reconstructions from 20 views come to 34 dB
_ERROR_OF_ESTIMATES = 0.02
# Clean data have no noise; the smallest that is assumed, as in the solvers
_NOISE_FLOOR = 2e-4
_SMOOTHING_CG_STEPS = 30


@torch.no_grad()
def smoothed(problem: Problem, own: Tensor, neighbours: list[Tensor], z_smoothing: float) -> Tensor:
    """The estimate (C, rows, columns) drawn towards those of its neighbours; see the formula above."""
    A, _, noise = unit_norm(problem)
    weight = 1 + len(neighbours) * z_smoothing
    mean = own
    for neighbour in neighbours:
        mean = mean + z_smoothing * neighbour
    rho = max(noise, _NOISE_FLOOR) ** 2 / _ERROR_OF_ESTIMATES**2
    return A.prox(A(own), mean / weight, rho * weight, _SMOOTHING_CG_STEPS)


def smoothed_volume(problem: Problem, estimate: Tensor, z_smoothing: float) -> Tensor:
    """The estimate (Z, rows, columns) of a volume, each slice drawn towards those beside it as they were."""
    operator = problem.operator
    if not isinstance(operator, Slicewise):
        order = range(len(estimate))
        beside = [estimate[[reflected(z + by, len(estimate)) for z in order]] for by in (-1, 1)]
        return smoothed(problem, estimate, beside, z_smoothing)
    found = []
    for z in range(len(estimate)):
        one = Problem(operator=operator.one, measurement=problem.measurement[z : z + 1], noise=problem.noise)
        beside = [estimate[n : n + 1] for n in (z - 1, z + 1) if 0 <= n < len(estimate)]
        found.append(smoothed(one, estimate[z : z + 1], beside, z_smoothing))
    return torch.cat(found)
