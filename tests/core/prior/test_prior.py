"""Preconditioning, and the denoiser that works patch by patch."""

import logging
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from padis_gui.core.prior.partition import Frame, Partition
from padis_gui.core.prior.prior import PatchPrior, denoise_patches, precondition
from padis_gui.core.prior.tiling import TILINGS, make_tiling
from padis_gui.core.settings.errors import Interrupted, SettingError
from tests.tiny import PATCHES, TINY_NETWORK, phantom, tiny_conventions, tiny_network


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def partition(prior: PatchPrior, patch: int = 32, seed: int = 0) -> Partition:
    return make_tiling("random", (64, 64), patch, prior.conventions.frame).draw(rng(seed))


def fake(network: nn.Module, **options) -> PatchPrior:
    return PatchPrior(
        network=network, conventions=tiny_conventions(), channels=1, downsampling=4,
        device=torch.device("cpu"), precision="float32", **options,
    )  # fmt: skip


class Recorder(nn.Module):
    """Answers a fixed multiple of what comes and remembers it."""

    def __init__(self, answer: float = 0.0) -> None:
        super().__init__()
        self.answer, self.seen, self.noises = answer, [], []

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        self.seen.append(x)
        self.noises.append(c_noise)
        return self.answer * torch.ones_like(x[:, :1])


# -- preconditioning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma_data", [0.25, 0.5])
def test_coefficients_of_edm(sigma_data: float) -> None:
    """Unit variance goes in, unit variance is asked for, and errors are amplified least (EDM, appendix B.6)."""
    sigma = torch.tensor([0.002, 0.1, sigma_data, 1.0, 10.0], dtype=torch.float64)
    skip, out, into, noise = precondition(sigma, sigma_data)
    total = sigma**2 + sigma_data**2
    torch.testing.assert_close(into**2 * total, torch.ones_like(sigma))
    torch.testing.assert_close(out**2, (1 - skip) ** 2 * sigma_data**2 + skip**2 * sigma**2)
    torch.testing.assert_close(skip, sigma_data**2 / total)
    torch.testing.assert_close(noise, torch.log(sigma) / 4)
    # the loss weight of training makes the effective weight one
    weight = total / (sigma * sigma_data) ** 2
    torch.testing.assert_close(weight * out**2, torch.ones_like(sigma))


def test_denoiser_is_the_identity_as_the_noise_vanishes(prior: PatchPrior) -> None:
    x = phantom(64)[None]
    errors = []
    for sigma in (1e-2, 1e-4, 1e-6):
        with torch.no_grad():
            errors.append(float((prior.denoise(x, sigma, partition(prior), rng()) - x).norm() / x.norm()))
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-4


def test_the_tiny_prior_is_not_trivial(prior: PatchPrior) -> None:
    """Otherwise the tests of this file could not fail: with F = 0, D is c_skip x."""
    x, sigma = phantom(64)[None], 0.5
    with torch.no_grad():
        found = prior.denoise(x, sigma, partition(prior), rng())
    skip = prior.conventions.sigma_data**2 / (sigma**2 + prior.conventions.sigma_data**2)
    assert float((found - skip * x).norm()) > 0.1


def test_what_enters_the_network() -> None:
    """[c_in x, columns, rows] and ln(sigma)/4; positions are neither scaled nor noised."""
    recorder = Recorder(answer=2.0)
    noisy, positions = torch.randn(3, 1, 8, 8, generator=rng()), torch.randn(3, 2, 8, 8, generator=rng(1))
    sigma = torch.tensor([0.1, 1.0, 10.0])
    found = denoise_patches(recorder, noisy, sigma, positions, 0.5, "float32")
    skip, out, into, noise = precondition(sigma.view(-1, 1, 1, 1), 0.5)
    torch.testing.assert_close(recorder.seen[0][:, :1], into * noisy)
    assert torch.equal(recorder.seen[0][:, 1:], positions)
    torch.testing.assert_close(recorder.noises[0], noise.flatten())
    torch.testing.assert_close(found, skip * noisy + 2 * out)


# -- whole images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", PATCHES)
def test_result_does_not_depend_on_the_patch_batch(prior: PatchPrior, patch: int) -> None:
    x, part = torch.randn(1, 64, 64, generator=rng()), partition(prior, patch)
    with torch.no_grad():
        results = [replace(prior, patch_batch=n).denoise(x, 0.7, part, rng(1)) for n in (1, 2, 3, 1000)]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-5, atol=1e-5)


def test_never_more_than_a_patch_batch_at_once() -> None:
    recorder = Recorder()
    prior = fake(recorder, patch_batch=2)
    prior.denoise(torch.zeros(1, 64, 64), 1.0, partition(prior, 32), rng())
    assert [len(x) for x in recorder.seen] == [2, 2, 2, 2, 1]
    recorder.seen.clear()
    prior.denoise(torch.zeros(1, 64, 64), 1.0, partition(prior, 16), rng())
    assert max(len(x) for x in recorder.seen) == 8  # as many pixels
    assert sum(len(x) for x in recorder.seen) == 25


def test_the_border_holds_noise_of_this_level() -> None:
    recorder = Recorder()
    prior = fake(recorder)
    frame = prior.conventions.frame
    part = Partition((64, 64), 32, (32, 32), (0, 0), frame)
    prior.denoise(torch.zeros(1, 64, 64), 3.0, part, rng())
    tiles = torch.cat(recorder.seen)[:, :1] * math.sqrt(3.0**2 + prior.conventions.sigma_data**2)
    assert float(tiles[0].std()) == pytest.approx(3.0, rel=0.1)  # wholly in the padding
    assert float(tiles[4].abs().max()) == 0.0  # wholly in the image


def test_the_border_follows_the_generator(prior: PatchPrior) -> None:
    x, part = phantom(64)[None], partition(prior)
    with torch.no_grad():
        first, again, other = (prior.denoise(x, 1.0, part, rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_denoise_leaves_its_input_alone(prior: PatchPrior) -> None:
    x = phantom(64)[None]
    before = x.clone()
    prior.denoise(x, 0.3, partition(prior), rng())
    assert torch.equal(x, before)


@pytest.mark.parametrize("patch_batch", [1, 3, 100])
@pytest.mark.parametrize("strategy", ["random", "average", "window", "stitch"])
def test_denoise_is_differentiable(strategy: str, patch_batch: int) -> None:
    """The gradient agrees with a finite difference, in float64 through a small network, in one batch or several."""
    prior = fake(tiny_network().double().requires_grad_(False), patch_batch=patch_batch)
    x = torch.randn(1, 40, 40, dtype=torch.float64, generator=rng()).requires_grad_(True)
    part = make_tiling(strategy, (40, 40), 32, Frame(40, 24)).draw(rng())
    direction, weight = (torch.randn(1, 40, 40, dtype=torch.float64, generator=rng(s)) for s in (1, 2))

    def value(v: Tensor) -> Tensor:
        return (prior.denoise(v, 0.5, part, rng(3)) * weight).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    step = 1e-3  # the network returns float32
    with torch.no_grad():
        numeric = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(numeric), rel=1e-2)


def test_gradients_hold_the_graph_of_one_patch_batch_only() -> None:
    """Of several batches, each comes twice: without a graph, and again, last one first, on the way back."""
    recorder = Recorder(answer=0.5)
    x = torch.zeros(1, 64, 64).requires_grad_(True)
    part = partition(fake(recorder))
    for patch_batch, passes in ((1, 2), (4, 2), (9, 1)):
        recorder.seen.clear()
        found = fake(recorder, patch_batch=patch_batch).denoise(x, 1.0, part, rng())
        forward = list(recorder.seen)
        torch.autograd.grad(found.sum(), x)
        again = recorder.seen[len(forward) :]
        assert sum(len(tiles) for tiles in recorder.seen) == passes * 9
        for first, second in zip(forward, reversed(again), strict=passes == 2):
            torch.testing.assert_close(first, second)


class Largest(TorchDispatchMode):
    """Notes where the tensors live that take at least ``floor`` bytes."""

    def __init__(self, floor: int) -> None:
        super().__init__()
        self.floor, self.places = floor, set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **(options or {}))
        if isinstance(found, Tensor) and (storage := found.untyped_storage()).nbytes() >= self.floor:
            self.places.add(storage.data_ptr())
        return found


@pytest.mark.parametrize(("strategy", "copies"), [("random", 1), ("window", 2), ("stitch", 2)])
def test_beside_the_image_only_its_padded_copies_grow_with_it(strategy: str, copies: int) -> None:
    """All else has the size of a patch batch: nothing as large as the image is made beside them."""
    x = torch.zeros(1, 128, 128)
    prior = fake(Recorder(), patch_batch=2)
    part = make_tiling(strategy, (128, 128), 32, prior.conventions.frame).draw(rng())
    with torch.no_grad(), Largest(x.nbytes) as seen:
        prior.denoise(x, 1.0, part, rng())
    assert len(seen.places - {x.untyped_storage().data_ptr()}) == copies


@pytest.mark.parametrize("strategy", [t.name for t in TILINGS])
def test_streaming_is_the_same_as_all_tiles_at_once(prior: PatchPrior, strategy: str) -> None:
    """denoise = assemble(D(extract)), with gradients and without; and it draws what one border of noise takes."""
    x, sigma = torch.randn(1, 50, 61, generator=rng()), 0.02
    part = make_tiling(strategy, (50, 61), 16, prior.conventions.frame).draw(rng(), sigma)
    sigma_data = prior.conventions.sigma_data
    generator = rng(2)
    tiles = part.extract(x, sigma * torch.randn(1, *part.padded_shape, generator=generator))
    level, positions = torch.full((len(tiles),), sigma), part.positions()
    with torch.no_grad():
        expected = part.assemble(
            denoise_patches(prior.network, tiles, level, positions, sigma_data, "float32")
        )
    for patch_batch in (1, 1000):
        batched = replace(prior, patch_batch=patch_batch)
        streaming = rng(2)
        with torch.no_grad():
            torch.testing.assert_close(batched.denoise(x, sigma, part, streaming), expected)
        assert torch.equal(streaming.get_state(), generator.get_state())
        leaf = x.clone().requires_grad_(True)
        torch.testing.assert_close(batched.denoise(leaf, sigma, part, rng(2)).detach(), expected)


def test_colours_are_images_of_their_own_to_a_grey_prior(prior: PatchPrior) -> None:
    x, part = torch.randn(3, 64, 64, generator=rng()), partition(prior)
    border = torch.randn(3, *part.padded_shape, generator=rng(1))
    level, positions = torch.full((len(part.boxes),), 0.7), part.positions()
    with torch.no_grad():
        found = replace(prior, patch_batch=2).denoise(x, 0.7, part, rng(1))
        for channel, plane in enumerate(found):
            tiles = part.extract(x[channel, None], 0.7 * border[channel, None])
            apart = denoise_patches(prior.network, tiles, level, positions, 0.3, "float32")
            torch.testing.assert_close(plane, part.assemble(apart)[0])


def test_positions_matter(prior: PatchPrior) -> None:
    """The same patch at two places is denoised differently."""
    tile, level = torch.full((1, 1, 32, 32), 0.4), torch.tensor([0.5])
    corner, middle = torch.full((1, 2, 32, 32), -0.9), torch.zeros(1, 2, 32, 32)
    with torch.no_grad():
        here, there = (
            denoise_patches(prior.network, tile, level, p, 0.3, "float32") for p in (corner, middle)
        )
    assert float((here - there).abs().max()) > 1e-3


def test_without_positions_the_frame_does_not_matter(prior: PatchPrior) -> None:
    x = phantom(64)[None]
    for patch_batch in (1, 16):
        told = replace(prior, patch_batch=patch_batch)
        blind = replace(told, positions=False)
        found = []
        for frame in (prior.conventions.frame, Frame(200, 0)):
            part = make_tiling("random", (64, 64), 32, frame).draw(rng(4))
            with torch.no_grad():
                found.append([p.denoise(x, 0.3, part, rng(5)) for p in (told, blind)])
        assert not torch.allclose(found[0][0], found[1][0], atol=1e-3)
        assert torch.equal(found[0][1], found[1][1])
        assert not torch.allclose(found[0][0], found[0][1], atol=1e-3)


# -- interruption and memory ------------------------------------------------------------------------------


def test_interrupt_comes_within_one_patch_batch() -> None:
    recorder = Recorder()
    asked = []

    def check() -> None:
        asked.append(len(recorder.seen))
        if len(recorder.seen) == 3:
            raise Interrupted

    prior = fake(recorder, patch_batch=1).interrupted_by(check)
    with pytest.raises(Interrupted):
        prior.denoise(torch.zeros(1, 64, 64), 1.0, partition(prior), rng())
    assert len(recorder.seen) == 3
    assert asked == [0, 1, 2, 3]


class Greedy(nn.Module):
    """Runs out of memory above ``limit`` patches."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.sizes = limit, []

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        self.sizes.append(len(x))
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return x[:, :1] * 0.5


def test_out_of_memory_halves_the_batch_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tight, roomy = Greedy(2), Greedy(1000)
    x = torch.randn(1, 64, 64, generator=rng())
    part = partition(fake(tight))
    with caplog.at_level(logging.WARNING):
        found = fake(tight, patch_batch=16).denoise(x, 1.0, part, rng())
    assert torch.equal(found, fake(roomy, patch_batch=16).denoise(x, 1.0, part, rng()))
    assert tight.sizes == [9, 8, 4, 2, 2, 2, 2, 1] or tight.sizes[-5:] == [2, 2, 2, 2, 1]
    assert "halved" in caplog.text


def test_out_of_memory_for_one_patch_is_not_swallowed() -> None:
    prior = fake(Greedy(0), patch_batch=4)
    with pytest.raises(torch.OutOfMemoryError):
        prior.denoise(torch.zeros(1, 64, 64), 1.0, partition(prior), rng())


# -- patch sizes ------------------------------------------------------------------------------------------


def test_patch_sizes(prior: PatchPrior) -> None:
    assert prior.downsampling == TINY_NETWORK.downsampling == 4
    assert prior.resolve_patch(None) == 32
    assert prior.resolve_patch(16) == 16
    with pytest.raises(SettingError, match=r"divisible by 4.*but 30 was given"):
        prior.resolve_patch(30)
    with pytest.raises(SettingError, match=r"trained on \(16, 32\), but 40 was given"):
        prior.resolve_patch(40)
