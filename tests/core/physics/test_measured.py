"""What was really measured is used as it is: no truth, one scale, the settings of its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, Measured, ReadingSettings
from padis_gui.core.physics.problem import as_measured, scan_settings
from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.physics.superresolution import SuperResolutionSettings
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.opened import build_problem, prepare_image
from padis_gui.core.settings.errors import InputError, SettingError
from tests.tiny import tiny_conventions, tiny_network

CPU = torch.device("cpu")
SIZE = 32


def scan(window: tuple[float, float]) -> tuple[Image, torch.Tensor, ParallelBeamCT, ParallelBeamSettings]:
    """A scan of an image whose values lie in the window, the image on [0, 1], and how it was measured."""
    settings = ParallelBeamSettings(views=12, bins=48, noise=0.01)
    operator = ParallelBeamCT.of((1, SIZE, SIZE), settings, CPU)
    x = torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    low, high = window
    values = operator(low + (high - low) * x).numpy()
    blank = np.zeros((1, SIZE, SIZE), dtype=np.float32)
    image = Image(pixels=blank, window=window, measured=Measured(values=values, physics="ct-parallel"))
    return image, x, operator, settings


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.0, 0.03), (-0.2, 1.7)])
def test_a_measurement_is_that_of_the_image_on_the_scale_of_the_prior(window: tuple[float, float]) -> None:
    image, x, operator, settings = scan(window)
    problem = as_measured(operator, image, settings)
    torch.testing.assert_close(problem.measurement, operator(x), rtol=1e-4, atol=1e-3)
    assert problem.truth is None
    assert problem.noise == pytest.approx(0.01 * float(problem.measurement.square().mean().sqrt()))


def test_another_geometry_is_refused_in_one_sentence() -> None:
    image, _, _, settings = scan((0.0, 1.0))
    other = ParallelBeamCT.of((1, SIZE, SIZE), settings.model_copy(update={"views": 13}), CPU)
    with pytest.raises(InputError, match=r"1 x 13 x 48 was wanted .* holds 1 x 12 x 48"):
        as_measured(other, image, settings)
    with pytest.raises(InputError, match="open it as a measurement"):
        as_measured(other, Image(pixels=image.pixels), settings)


def test_a_degraded_picture_is_measured_as_it_is_and_its_image_is_larger(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    stored = rng.integers(0, 256, (24, 20), dtype=np.uint8)
    Picture.fromarray(stored).save(tmp_path / "small.png")
    image = read_image(tmp_path / "small.png", 0, ReadingSettings(role="measurement"))
    prior = PatchPrior(
        tiny_network(), tiny_conventions(), channels=1, downsampling=2, device=CPU, precision="float32"
    )
    settings = SuperResolutionSettings(factor=2, noise=0.02)
    problem = build_problem(image, prior, "super-resolution", settings, 1)
    assert problem.operator.image_shape == (1, 48, 40)
    np.testing.assert_allclose(problem.measurement[0].numpy(), stored / np.float32(255), atol=1e-6)
    assert problem.truth is None
    assert problem.noise == 0.02
    assert prepare_image(image, prior, settings).shape == (48, 40)


def test_the_scaling_is_what_was_chosen_or_proposed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.linspace(2, 10, 32 * 32, dtype=np.float32).reshape(32, 32))
    assert read_image(tmp_path / "a.npy").window == (2.0, 10.0)
    assert read_image(tmp_path / "a.npy", 0, ReadingSettings(scale_high=20)).window == (2.0, 20.0)
    with pytest.raises(SettingError, match="raise white or lower black"):
        read_image(tmp_path / "a.npy", 0, ReadingSettings(scale_low=11))


def test_what_was_set_by_hand_survives_another_reading_of_the_scan() -> None:
    fine = Measured(
        values=np.zeros((1, 4, 64), dtype=np.float32), physics="ct-parallel",
        problem={"angles": (0.0, 45.0, 90.0, 135.0), "bins": 64, "bin_width": 1.0, "centre": 2.0},
    )  # fmt: skip
    coarse = Measured(
        values=np.zeros((1, 2, 32), dtype=np.float32), physics="ct-parallel",
        problem={"angles": (0.0, 90.0), "bins": 32, "bin_width": 2.0, "centre": 1.0},
    )  # fmt: skip
    edited = scan_settings(fine).model_copy(update={"centre": 3.0, "noise": 0.05})
    found = scan_settings(coarse, (fine, edited))
    assert (found.centre, found.noise) == (1.5, 0.05)
    assert (found.angles, found.bins) == ((0.0, 90.0), 32)
    assert scan_settings(coarse, (fine, scan_settings(fine))).centre == 1.0
    assert scan_settings(coarse).noise == 0.0
