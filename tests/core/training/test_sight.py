"""A look shows a prior without touching anything but its own random numbers, and survives what is young or damaged."""

import math
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from padis_gui.core.files.read import read_image
from padis_gui.core.images.metrics import psnr, ssim
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.presets import DEFAULT_PRIOR, DEMO_IMAGE, resource
from padis_gui.core.settings.errors import InputError, Interrupted, SettingError
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.looks import (
    Look,
    SightSettings,
    load_look,
    look,
    look_path,
    save_look,
    typical_image,
)
from tests.tiny import PHANTOM_SIZE, phantom

IMAGE = phantom(PHANTOM_SIZE)[None]
QUICK: dict[str, Any] = {"levels": (0.1, 0.4), "evaluations": 3, "sample_steps": 2, "views": 12}


def quick(**changes: Any) -> SightSettings:
    return SightSettings(**(QUICK | changes))


class Broken(nn.Module):
    """A network that only knows NaN."""

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.full_like(x[:, :-2], math.nan)


class Colours(nn.Module):
    """A colour network that corrects nothing."""

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :3])


def with_unit(prior: PatchPrior, unit: str) -> PatchPrior:
    return replace(prior, conventions=prior.conventions.model_copy(update={"unit": unit}))


def same(a: Look, b: Look) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Look) if f.name != "seconds"]
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


def test_what_a_look_shows(prior: PatchPrior) -> None:
    seen = look(prior, IMAGE, quick(), seed=4, step=500)
    assert (seen.step, seen.levels, seen.trouble) == (500, (0.1, 0.4), "")
    for images in (seen.clean, seen.noisy, seen.denoised):
        assert images.shape == (2, *IMAGE.shape)
    assert torch.equal(seen.clean[0], IMAGE)
    noise = [(seen.noisy[n] - IMAGE) / level for n, level in enumerate(seen.levels)]
    assert float(noise[0].std()) == pytest.approx(1, abs=0.05)
    assert torch.allclose(noise[0], noise[1], atol=1e-5)  # one noise at every level
    assert not torch.allclose(seen.denoised[0], seen.noisy[0], atol=1e-3)
    assert (seen.problem, seen.baseline_name) == ("CT, 12 views", "FBP")
    assert seen.truth is not None
    assert seen.reconstruction is not None
    assert seen.baseline is not None
    assert seen.sample is not None
    assert seen.sample.shape == IMAGE.shape
    assert torch.equal(seen.truth, IMAGE)
    assert (seen.psnr, seen.ssim) == (psnr(seen.reconstruction, IMAGE), ssim(seen.reconstruction, IMAGE))
    assert (seen.baseline_psnr, seen.baseline_ssim) == (
        psnr(seen.baseline, IMAGE),
        ssim(seen.baseline, IMAGE),
    )
    assert seen.seconds > 0


def test_a_trained_prior_shows_its_worth() -> None:
    slices = read_image(resource(DEMO_IMAGE))
    trained = load_prior(resource(DEFAULT_PRIOR), torch.device("cpu"), "float32")
    middle = slices.with_window(trained.conventions.window).to_unit()[:, 64:192, 64:192].contiguous()
    seen = look(trained, middle, SightSettings(evaluations=8, sample_steps=0))
    assert seen.psnr > seen.baseline_psnr + 5
    errors = [psnr(images, seen.clean) for images in (seen.noisy, seen.denoised)]
    assert errors[1] > errors[0] + 5


def test_the_seed_says_everything_and_no_other_random_stream_is_touched(prior: PatchPrior) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = look(prior, IMAGE, quick(), seed=4)
    torch.manual_seed(8)
    assert same(look(prior, IMAGE, quick(), seed=4), first)
    assert not same(look(prior, IMAGE, quick(), seed=5), first)
    torch.manual_seed(7)
    look(prior, IMAGE, quick(), seed=4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("problem", "unit", "channels", "expected"),
    [
        ("auto", "HU", 1, ("CT, 12 views", "FBP")),
        ("auto", "", 1, ("Super-resolution 4×", "Bicubic")),
        ("auto", "HU", 3, ("Super-resolution 4×", "Bicubic")),
        ("ct-parallel", "", 1, ("CT, 12 views", "FBP")),
        ("deblur", "HU", 3, ("Deblurring 9 × 9", "Wiener")),
    ],
)
def test_the_problem_follows_the_data(
    prior: PatchPrior, problem: str, unit: str, channels: int, expected: tuple[str, str]
) -> None:
    prior = with_unit(prior, unit)
    if channels == 3:
        prior = replace(prior, network=Colours(), channels=3)
    seen = look(prior, IMAGE.expand(channels, -1, -1), quick(problem=problem, sample_steps=0))
    assert (seen.problem, seen.baseline_name) == expected
    assert seen.sample is None
    assert seen.reconstruction is not None
    assert seen.reconstruction.shape[0] == channels
    assert math.isfinite(seen.psnr)


def test_ct_of_colours_is_refused(prior: PatchPrior) -> None:
    prior = replace(prior, network=Colours(), channels=3)
    with pytest.raises(SettingError, match="CT sees one intensity"):
        look(prior, IMAGE.expand(3, -1, -1), quick(problem="ct-parallel", sample_steps=0))


def test_a_prior_that_diverges_still_shows_what_it_denoises(prior: PatchPrior) -> None:
    seen = look(replace(prior, network=Broken()), IMAGE, quick())
    assert (seen.sample, seen.reconstruction) == (None, None)
    assert math.isnan(seen.psnr)
    assert math.isfinite(seen.baseline_psnr)  # which needs no prior
    assert seen.trouble.count("diverged") == 2
    assert seen.noisy.isfinite().all()
    assert seen.denoised.isnan().all()


def test_parts_can_be_left_out(prior: PatchPrior) -> None:
    seen = look(prior, IMAGE, quick(evaluations=0, sample_steps=0))
    assert (seen.sample, seen.reconstruction, seen.baseline, seen.truth) == (None,) * 4
    assert (seen.problem, seen.trouble) == ("", "")


def test_a_look_can_be_interrupted(prior: PatchPrior) -> None:
    def stop() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        look(prior.interrupted_by(stop), IMAGE, quick())


@pytest.mark.parametrize("levels", [(), (0.0,), (-1.0,), tuple(range(1, 10))])
def test_levels_are_bounded(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):
        SightSettings(levels=levels)


def test_the_typical_image_is_of_median_contrast() -> None:
    images = torch.stack([IMAGE * scale for scale in (0.0, 1.0, 0.6, 0.1, 0.8)])
    data = TrainingData(images, ((0, 1, 2, 3, 4),), (0.0, 1.0), "")
    assert torch.equal(typical_image(data)[0], IMAGE * 0.6)


# -- files ------------------------------------------------------------------------------------------------


def test_a_look_survives_its_file(prior: PatchPrior, tmp_path: Path) -> None:
    for seen in (
        look(prior, IMAGE, quick(), step=500),
        look(replace(prior, network=Broken()), IMAGE, quick(), step=1_234_567),
    ):
        path = save_look(seen, tmp_path)
        assert path == look_path(tmp_path, seen.step)
        found = load_look(path)
        for field in fields(Look):
            there, here = getattr(seen, field.name), getattr(found, field.name)
            if isinstance(there, Tensor):
                assert here.dtype == torch.float32
                assert torch.allclose(here, there, rtol=1e-3, atol=1e-3, equal_nan=True), field.name
            else:
                assert here == there or (math.isnan(here) and math.isnan(there)), field.name
    assert [p.name for p in sorted((tmp_path / "looks").iterdir())] == ["000500.npz", "1234567.npz"]


def test_damaged_looks_are_refused(prior: PatchPrior, tmp_path: Path) -> None:
    path = save_look(look(prior, IMAGE, quick(sample_steps=0)), tmp_path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for data in (b"", b"words", whole[:1000], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(data)
        with pytest.raises(InputError, match="choose another"):
            load_look(path)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            load_look(path)
        except InputError:
            continue
    with pytest.raises(InputError, match="choose another"):
        load_look(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"noisy": np.zeros((3, 1, 8, 8), np.float16)},
        {"truth": np.zeros((1, 9, 8), np.float16)},
        {"more": np.zeros((1, 8, 8), np.float16)},
        {"meta": np.frombuffer(b"{}", np.uint8)},
        {"denoised": np.array([{"a": 1}], dtype=object)},
    ],
)
def test_looks_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    levels = torch.zeros(2, 1, 8, 8)
    seen = Look(step=1, levels=(0.1, 0.2), clean=levels, noisy=levels, denoised=levels, truth=levels[0])
    path = save_look(seen, tmp_path)
    load_look(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **(arrays | changes))
    with pytest.raises(InputError, match="choose another"):
        load_look(path)
