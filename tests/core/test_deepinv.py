"""A prior as a denoiser of deepinv, and its physics here: the laws, with classes like its own; and with itself, where it is
installed (packaging/interfaces.py makes such an environment)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import padis_gui as pg
from padis_gui.core.prior.tiling import tiling_for
from padis_gui.core.runs.opened import streams
from padis_gui.core.settings.declarations import make
from tests.tiny import phantom

SIDE = 48


@pytest.fixture
def prior(prior_path: Path) -> pg.OpenedPrior:
    return pg.prior(prior_path, device="cpu", precision="float32")


def images(count: int = 2, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, channels, SIDE, SIDE + 8), generator=generator)


# -- the denoiser -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tiling", ["random", "fixed", "window", "average", "overlap", "inside", "whole", "auto"]
)
def test_it_is_the_prior_itself_tiling_for_tiling(prior: pg.OpenedPrior, tiling: str) -> None:
    denoiser, x = prior.as_deepinv(tiling=tiling, seed=3), images(1)
    core, rng = prior.prior, streams(3)[1]
    chosen = make(type(denoiser._settings), {"strategy": tiling})
    partition = tiling_for(chosen, (SIDE, SIDE + 8), core, ()).draw(rng, 0.1)
    with torch.no_grad():
        wanted = core.denoise(x[0], 0.1, partition, rng)
        assert torch.equal(denoiser(x, 0.1)[0], wanted)


def test_levels_may_differ_by_image_and_the_draws_begin_anew(prior: pg.OpenedPrior) -> None:
    denoiser, x = prior.as_deepinv(seed=3), images(2)
    with torch.no_grad():
        together = denoiser(x, torch.tensor([0.1, 0.3]).reshape(2, 1, 1, 1))
        denoiser.reset()
        apart = [denoiser(x[n : n + 1], level)[0] for n, level in enumerate((0.1, 0.3))]
    assert torch.equal(together, torch.stack(apart))
    assert together.shape == x.shape
    assert torch.equal(denoiser(x, 0.0), x)  # nothing is to be taken out


def test_it_is_differentiable_and_keeps_type_and_colours(prior: pg.OpenedPrior) -> None:
    denoiser = prior.as_deepinv(tiling="fixed")
    x = images(1, channels=3).double().requires_grad_(True)
    found = denoiser(x, 0.2)
    assert found.dtype == torch.float64
    found.sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
    assert float(x.grad.abs().max()) > 0


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), [0.1, 0.2, 0.3]])
def test_levels_that_cannot_be_are_a_sentence(prior: pg.OpenedPrior, sigma: Any) -> None:
    with pytest.raises(pg.PadisError, match="noise level"):
        prior.as_deepinv()(images(2), torch.tensor(sigma))


def test_other_shapes_are_a_sentence(prior: pg.OpenedPrior) -> None:
    with pytest.raises(pg.PadisError, match="batch"):
        prior.as_deepinv()(images(1)[0], 0.1)


# -- physics ----------------------------------------------------------------------------------------------


class Blurred:
    """y = x averaged over 3 x 3 pixels, every second of them."""

    def A(self, x: Tensor, **_: Any) -> Tensor:
        return torch.nn.functional.avg_pool2d(x, 3, stride=2)


class WrongAdjoint(Blurred):
    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        return torch.nn.functional.interpolate(y, (SIDE, SIDE))


class Square:
    def A(self, x: Tensor, **_: Any) -> Tensor:
        return x**2


@pytest.mark.parametrize("physics", [Blurred(), WrongAdjoint()])
def test_the_adjoint_is_exact_and_the_norm_the_largest_singular_value(physics: Any) -> None:
    A = pg.physics_from(physics, (1, SIDE, SIDE))
    generator = torch.Generator().manual_seed(5)
    x, y = (
        torch.rand(A.image_shape, generator=generator),
        torch.rand(A.measurement_shape, generator=generator),
    )
    assert float((A(x) * y).sum()) == pytest.approx(float((x * A.T(y)).sum()), rel=1e-5)
    small = pg.physics_from(physics if type(physics) is Blurred else Blurred(), (1, 9, 9))
    columns = torch.eye(81).reshape(81, 1, 9, 9)
    matrix = torch.stack([small(column).reshape(-1) for column in columns], dim=1)
    assert small.norm == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-3)


def test_what_is_not_linear_or_takes_other_images_is_a_sentence() -> None:
    with pytest.raises(pg.PadisError, match="linear"):
        pg.physics_from(Square(), (1, SIDE, SIDE))
    with pytest.raises(pg.PadisError, match="refuses"):
        pg.physics_from(Blurred(), (1, 2, 2))
    with pytest.raises(pg.PadisError, match="shape"):
        pg.physics_from(Blurred(), (SIDE, SIDE))  # type: ignore[arg-type]


@pytest.mark.parametrize("solver", ["dds", "fast", "tv", "least-squares", "padis-dps"])
def test_any_solver_takes_it(prior: pg.OpenedPrior, solver: str) -> None:
    A = pg.physics_from(Blurred(), (1, SIDE, SIDE))
    truth = phantom(SIDE)[None]
    measured = A(truth)
    steps = list(
        A.steps(
            measured[None], prior, solver, seed=1, truth=truth, **({"steps": 4} if solver != "tv" else {})
        )
    )
    again = A.reconstruct(measured, prior, solver, seed=1, **({"steps": 4} if solver != "tv" else {}))
    assert torch.equal(steps[-1].estimate, again)
    first, last = (float((A(step.estimate) - measured).norm()) for step in (steps[0], steps[-1]))
    assert last <= first * 1.001
    with pytest.raises(pg.PadisError, match="measurement"):
        A.reconstruct(measured[:, :4], prior)


# -- deepinv itself ---------------------------------------------------------------------------------------


@pytest.fixture
def dinv() -> Any:
    return pytest.importorskip(
        "deepinv", reason="deepinv is not installed; packaging/interfaces.py installs it"
    )


def _physics_of(dinv: Any) -> dict[str, Any]:
    shape, rng = (1, SIDE, SIDE), torch.Generator().manual_seed(0)
    return {
        "tomography": dinv.physics.Tomography(angles=20, img_width=SIDE),
        "inpainting": dinv.physics.Inpainting(img_size=shape, mask=0.5, rng=rng),
        "blur": dinv.physics.Blur(
            filter=dinv.physics.blur.gaussian_blur(sigma=(1.5, 1.5)), padding="circular"
        ),
        "downsampling": dinv.physics.Downsampling(img_size=shape, factor=2),
        "denoising": dinv.physics.Denoising(),
    }


@pytest.mark.parametrize("name", ["tomography", "inpainting", "blur", "downsampling", "denoising"])
def test_physics_of_deepinv_are_operators(dinv: Any, name: str) -> None:
    physics = _physics_of(dinv)[name]
    A = pg.physics_from(physics, (1, SIDE, SIDE))
    generator = torch.Generator().manual_seed(5)
    x, y = (
        torch.rand(A.image_shape, generator=generator),
        torch.rand(A.measurement_shape, generator=generator),
    )
    assert torch.allclose(A(x), physics.A(x[None])[0])
    gap = abs(float((A(x) * y).sum()) - float((x * A.T(y)).sum()))
    assert gap <= 1e-4 * float(A(x).norm() * y.norm())
    assert np.isfinite(A.norm)
    assert A.pinv(y).shape == A.image_shape


def test_its_plug_and_play_takes_the_prior(dinv: Any, prior: pg.OpenedPrior) -> None:
    denoiser = prior.as_deepinv(tiling="fixed")
    physics = _physics_of(dinv)["inpainting"]
    truth = phantom(SIDE)[None, None]
    model = dinv.optim.optim_builder(
        iteration="PGD", prior=dinv.optim.prior.PnP(denoiser=denoiser), data_fidelity=dinv.optim.data_fidelity.L2(),
        max_iter=3, params_algo={"stepsize": 1.0, "g_param": 0.05},
    )  # fmt: skip
    found = model(physics(truth), physics)
    assert found.shape == truth.shape
    assert bool(torch.isfinite(found).all())


def test_a_solver_here_takes_its_physics(dinv: Any, prior: pg.OpenedPrior) -> None:
    physics = _physics_of(dinv)["tomography"]
    truth = phantom(SIDE)[None]
    A = pg.physics_from(physics, (1, SIDE, SIDE))
    estimate = A.reconstruct(physics.A(truth[None]), prior, "dds", steps=6, seed=1)
    blank = float((A(torch.zeros_like(truth)) - A(truth)).norm())
    assert float((A(estimate) - A(truth)).norm()) < 0.2 * blank
