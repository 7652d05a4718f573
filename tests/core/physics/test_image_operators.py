"""Deblurring, super-resolution, inpainting and denoising measure what they say, and invert it as they say."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from torch import Tensor

from padis_gui.core.files.read import read_image, read_named_picture
from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.blur import (
    Blur,
    BlurSettings,
    gaussian_kernel,
    make_kernel,
    motion_kernel,
    uniform_kernel,
)
from padis_gui.core.physics.operator import LinearOperator, Scaled
from padis_gui.core.physics.pixelwise import (
    Denoising,
    DenoisingSettings,
    Inpainting,
    InpaintingSettings,
    blobs,
    nearest_known,
    strokes,
)
from padis_gui.core.physics.problem import simulate
from padis_gui.core.physics.registry import PHYSICS, Physics, find_physics
from padis_gui.core.physics.superresolution import SuperResolution, SuperResolutionSettings
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.opened import build_problem
from padis_gui.core.runs.presets import find_preset
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import file_sha256
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.solvers.registry import find_solver
from tests.recipes import make_recipe
from tests.tiny import phantom

CPU = torch.device("cpu")
PICTURES = tuple(physics for physics in PHYSICS if physics.pictorial)
every_picture = pytest.mark.parametrize("physics", PICTURES, ids=lambda physics: physics.name)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=dtype)


def lopsided(rows: int, columns: int) -> Tensor:
    """A kernel that no flip maps to itself."""
    kernel = torch.arange(1, rows * columns + 1, dtype=torch.float64).reshape(rows, columns) ** 2
    return kernel / kernel.sum()


def holes(rows: int, columns: int) -> Tensor:
    return torch.rand((rows, columns), generator=rng()) > 0.4


OPERATORS: dict[str, LinearOperator] = {
    "blur circular": Blur((3, 17, 22), lopsided(5, 4), dtype=torch.float64),
    "blur zero": Blur((1, 17, 22), lopsided(4, 5), boundary="zero", dtype=torch.float64),
    "average": SuperResolution((1, 24, 32), 4, "average", dtype=torch.float64),
    "average of broken blocks": SuperResolution((3, 23, 29), 4, "average", dtype=torch.float64),
    "bicubic": SuperResolution((1, 24, 32), 4, dtype=torch.float64),
    "bicubic of broken blocks": SuperResolution((3, 23, 29), 3, dtype=torch.float64),
    "inpainting": Inpainting((3, 17, 22), holes(17, 22), dtype=torch.float64),
    "denoising": Denoising((1, 17, 22), dtype=torch.float64),
    "scaled": Scaled(SuperResolution((1, 24, 32), 4, dtype=torch.float64), 2.5),
}
CLOSED = {name: A for name, A in OPERATORS.items() if not name.startswith("blur")}
every_operator = pytest.mark.parametrize("A", OPERATORS.values(), ids=OPERATORS.keys())


# -- laws of all --------------------------------------------------------------------------------------------


@every_operator
@pytest.mark.parametrize("rho", [0.01, 0.3, 20.0])
def test_prox_equals_conjugate_gradients(A: LinearOperator, rho: float) -> None:
    y, v = randn(A.measurement_shape, 1), randn(A.image_shape, 2)
    found, expected = A.prox(y, v, rho, 200), LinearOperator.prox(A, y, v, rho, 200)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("A", CLOSED.values(), ids=CLOSED.keys())
def test_least_squares_equals_conjugate_gradients(A: LinearOperator) -> None:
    """The same solution, the one nearest to the start, where several images explain the measurement."""
    y, x = A(randn(A.image_shape, 1)), randn(A.image_shape, 2)
    found, expected = A.least_squares(y, x, 400), LinearOperator.least_squares(A, y, x, 400)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert float((A(found) - y).norm() / y.norm()) < 1e-4


@every_picture
@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 70, 45)])
def test_channels_are_measured_alike(physics: Physics, shape: tuple[int, int, int]) -> None:
    settings = physics.settings_type()
    A, single = physics.make(shape, settings, CPU), physics.make((1, *shape[1:]), settings, CPU)
    x = randn(shape, 0, torch.float32)
    y = A(x)
    for channel in range(shape[0]):
        torch.testing.assert_close(y[channel], single(x[channel : channel + 1])[0], rtol=1e-5, atol=1e-6)
    picture = A.pinv(y)
    assert picture.shape == x.shape
    assert picture.dtype == y.dtype == torch.float32


@every_picture
def test_baseline_explains_what_was_measured(physics: Physics) -> None:
    """Without noise, A pinv(A x) is near A x."""
    truth = scipy.ndimage.gaussian_filter(phantom(96).numpy(), 1.0)
    x = torch.from_numpy(truth)[None]
    A = physics.make((1, 96, 96), physics.settings_type(noise=0.0), CPU)
    y = A(x)
    assert float((A(A.pinv(y)) - y).norm() / y.norm()) < 0.05


@every_picture
def test_a_simulation_repeats(physics: Physics) -> None:
    settings = physics.settings_type(noise=0.1)
    A = physics.make((3, 64, 70), settings, CPU)
    x = torch.rand((3, 64, 70), generator=rng(3))
    before = torch.random.get_rng_state()
    first, second, other = (simulate(A, x, settings, rng(s)).measurement for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_picture
def test_settings_are_settings_of_their_own(physics: Physics) -> None:
    """The command line has one option for each name, so a choice of one physics must not take another's name."""
    own = set(physics.settings_type.model_fields) - {"noise", "colour"}
    for other in PHYSICS:
        assert other is physics or not own & set(other.settings_type.model_fields)


@pytest.mark.parametrize("name", ["deblur", "sr2", "sr4", "inpaint", "denoise"])
def test_presets_run(name: str, prior: PatchPrior, phantom_path: Path, prior_path: Path) -> None:
    preset, image = find_preset(name), read_image(phantom_path)
    problem_settings = make(find_physics(preset.physics).settings_type, dict(preset.problem))
    recipe = make_recipe(
        image=image, data_path=phantom_path, prior=prior, prior_path=prior_path, physics=preset.physics,
        problem=problem_settings, tiling=TilingSettings(), solver=preset.solver, seed=1,
        settings=make(find_solver(preset.solver).settings_type, {**preset.settings, "steps": 1}),
    )  # fmt: skip
    problem = build_problem(image, prior, recipe.physics, recipe.problem_settings, recipe.seed)
    assert problem.noise == problem_settings.noise
    last = drain(solve(recipe, problem, prior))
    assert last.estimate.shape == (1, 64, 64)
    assert bool(last.estimate.isfinite().all())


# -- deblurring ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["circular", "zero"])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (4, 4), (5, 2), (2, 7), (16, 19)])
def test_blur_is_scipys_convolution(boundary: str, size: tuple[int, int]) -> None:
    """Even kernels too have the centre that scipy gives them."""
    kernel, x = lopsided(*size), randn((2, 16, 19), 0)
    A = Blur((2, 16, 19), kernel, boundary=boundary, dtype=torch.float64)
    mode = "wrap" if boundary == "circular" else "constant"
    for measured, channel in zip(A(x), x, strict=True):
        expected = scipy.ndimage.convolve(channel.numpy(), kernel.numpy(), mode=mode)
        torch.testing.assert_close(measured, torch.from_numpy(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("boundary", ["circular", "zero"])
def test_a_single_pixel_kernel_changes_nothing(boundary: str) -> None:
    x = randn((1, 20, 31), 0)
    A = Blur((1, 20, 31), uniform_kernel(1), boundary=boundary, dtype=torch.float64)
    torch.testing.assert_close(A(x), x)


@pytest.mark.parametrize(
    "settings",
    [{}, {"kernel_size": 17}, {"kernel_size": 8}, {"kernel": "gaussian"}, {"kernel": "gaussian", "kernel_std": 0.3},
     {"kernel": "motion"}, {"kernel": "motion", "motion_length": 1.0, "motion_angle": 90.0}],
    ids=str,
)  # fmt: skip
def test_kernels_are_means(settings: dict) -> None:
    kernel = make_kernel(BlurSettings(**settings))
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-12)
    assert bool((kernel >= 0).all())
    assert Blur((1, 64, 64), kernel).norm == pytest.approx(1, abs=1e-5)


def second_moments(kernel: Tensor) -> tuple[float, float, float]:
    """Variance along the columns, along the rows (upwards), and their covariance."""
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in kernel.shape)
    up, right = -rows[:, None], columns[None]
    assert abs(float((kernel * up).sum())) < 1e-9  # the centre of mass is the centre
    assert abs(float((kernel * right).sum())) < 1e-9
    return tuple(float((kernel * m).sum()) for m in (right**2, up**2, right * up))


def test_gaussian_kernel_has_its_width() -> None:
    along, across, mixed = second_moments(gaussian_kernel(2.5))
    assert math.sqrt(along) == math.sqrt(across) == pytest.approx(2.5, rel=1e-3)
    assert abs(mixed) < 1e-12


@pytest.mark.parametrize("length", [5.0, 12.0, 15.5])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_motion_kernel_has_its_length_and_direction(length: float, angle: float) -> None:
    along, across, mixed = second_moments(motion_kernel(length, angle))
    assert along + across == pytest.approx(
        length**2 / 12, abs=0.6
    )  # a line's, and up to 1/4 a axis for the pixels
    direction = 0.5 * math.degrees(math.atan2(2 * mixed, along - across)) % 180
    assert min(abs(direction - angle), 180 - abs(direction - angle)) < 2


def test_wiener_sharpens_and_uses_the_noise_level() -> None:
    x = phantom(64)[None]
    for boundary in ("circular", "zero"):
        A = Blur((1, 64, 64), uniform_kernel(5), boundary=boundary, noise=0.02)
        y = A(x) + 0.02 * randn((1, 64, 64), 0, torch.float32)
        daring = Blur((1, 64, 64), uniform_kernel(5), boundary=boundary, noise=0.0)
        assert psnr(A.pinv(y), x) > psnr(y, x) + 1.5
        assert psnr(A.pinv(y), x) > psnr(daring.pinv(y), x) + 2


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("k.npy", np.float64), ("k.png", np.uint8), ("k.tif", np.float32), ("k.npy", np.uint16)],
)
def test_kernel_from_a_file(tmp_path: Path, name: str, dtype: type) -> None:
    path, weights = tmp_path / name, (lopsided(5, 7) * 500).round().numpy().astype(dtype)
    if path.suffix == ".npy":
        np.save(path, weights)
    elif path.suffix == ".png":
        Pillow.fromarray(weights).save(path)
    else:
        tifffile.imwrite(path, weights)
    expected = torch.from_numpy(weights.astype(np.float64) / weights.sum(dtype=np.float64))
    settings = BlurSettings(kernel="file", kernel_file=str(path))
    picture = read_named_picture(settings)
    torch.testing.assert_close(make_kernel(settings, picture), expected, rtol=1e-6, atol=0)
    A, B = Blur.of((1, 20, 20), settings, CPU, picture), Blur((1, 20, 20), expected)
    x = randn((1, 20, 20), 0, torch.float32)
    torch.testing.assert_close(A(x), B(x))


def named(settings: BlurSettings) -> tuple[BlurSettings, Image | None]:
    """Settings with the picture that they name."""
    return settings, read_named_picture(settings)


def test_bad_kernels_are_explained(tmp_path: Path) -> None:
    for weights, reason in ((np.zeros((5, 5)), "zeros only"), (np.eye(5) - 0.1, "negative weights")):
        np.save(tmp_path / "bad.npy", weights)
        with pytest.raises(InputError, match=reason):
            make_kernel(*named(BlurSettings(kernel="file", kernel_file=str(tmp_path / "bad.npy"))))
    with pytest.raises(InputError, match="does not exist"):
        named(BlurSettings(kernel="file", kernel_file=str(tmp_path / "none.png")))
    with pytest.raises(SettingError, match="none was given"):
        make_kernel(BlurSettings(kernel="file"))
    with pytest.raises(SettingError, match="32 x 40 pixels was wanted, but it has 33 x 33"):
        Blur.of((1, 32, 40), BlurSettings(kernel_size=33), CPU)


# -- super-resolution ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 32, 48), (3, 30, 41)])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_average_is_the_mean_of_each_block(shape: tuple[int, int, int], factor: int) -> None:
    A = SuperResolution(shape, factor, "average", dtype=torch.float64)
    x = randn(shape, 0)
    expected = torch.nn.functional.avg_pool2d(x[None], factor, ceil_mode=True)[0]
    torch.testing.assert_close(A(x), expected)
    if all(n % factor == 0 for n in shape[1:]):
        y = randn(A.measurement_shape, 1)
        torch.testing.assert_close(A(A.T(y)), y / factor**2)


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_is_pillows_reduction(factor: int) -> None:
    A = SuperResolution((1, 48, 64), factor)
    x = torch.rand((1, 48, 64), generator=rng())
    small = Pillow.fromarray(x[0].numpy()).resize((64 // factor, 48 // factor), Pillow.Resampling.BICUBIC)
    torch.testing.assert_close(A(x)[0], torch.from_numpy(np.array(small)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", ["average", "bicubic"])
@pytest.mark.parametrize(("side", "factor"), [(32, 2), (33, 2), (35, 4), (64, 5)])
def test_a_flat_image_stays_flat(reduction: str, side: int, factor: int) -> None:
    A = SuperResolution((1, side, 40), factor, reduction, dtype=torch.float64)
    flat = torch.full((1, side, 40), 0.7, dtype=torch.float64)
    assert A.measurement_shape == (1, math.ceil(side / factor), 40 // factor)
    torch.testing.assert_close(A(flat), torch.full(A.measurement_shape, 0.7, dtype=torch.float64))
    torch.testing.assert_close(A.pinv(A(flat)), flat)


@pytest.mark.parametrize("reduction", ["average", "bicubic"])
def test_upsampling_puts_nothing_out_of_place(reduction: str) -> None:
    """A slope comes back as it was, away from the edges."""
    slope = (
        torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 64, 64) + torch.linspace(0, 2, 64)[:, None]
    )
    A = SuperResolution((1, 64, 64), 4, reduction, dtype=torch.float64)
    inner = (slice(None), slice(16, -16), slice(16, -16))
    torch.testing.assert_close(A.pinv(A(slope))[inner], slope[inner], rtol=0, atol=1e-6)


def test_a_factor_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(SettingError, match="leaves 4 x 2"):
        SuperResolution.of((1, 64, 32), SuperResolutionSettings(factor=16), CPU)
    with pytest.raises(SettingError, match="Factor must be 2 to 64"):
        make(SuperResolutionSettings, {"factor": 1})


# -- inpainting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["boxes", "pixels", "strokes", "blobs"])
def test_the_pattern_fixes_the_mask(mask: str) -> None:
    first, again, other = (InpaintingSettings(mask=mask, pattern=p).known(64, 80) for p in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_masks_have_their_size() -> None:
    pixels = InpaintingSettings(mask="pixels", missing=0.7).known(200, 200)
    assert float((~pixels).float().mean()) == pytest.approx(0.7, abs=0.02)
    box = ~InpaintingSettings(boxes=1, box_side=10).known(40, 50)
    assert int(box.sum()) == 100
    assert int(box.any(0).sum()) == int(box.any(1).sum()) == 10
    whole = ~InpaintingSettings(boxes=1, box_side=20).known(20, 30)
    assert bool(whole.any(1).all())  # the box fits exactly, so it is nowhere cut


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.floats(0.01, 0.9),
    st.integers(1, 40),
    st.integers(0, 2**31 - 1),
)
def test_irregular_masks_cover_the_share_that_was_asked_for(
    rows: int, columns: int, covered: float, width: int, pattern: int
) -> None:
    """Blobs exactly; strokes at least, and by no more than the last of them."""
    generator = torch.Generator().manual_seed(pattern)
    missing = int((~blobs(rows, columns, covered, float(width), generator)).sum())
    assert missing == rows * columns - round((1 - covered) * rows * columns)
    missing = int((~strokes(rows, columns, covered, width, generator)).sum())
    longest = max(1.0, 2 * width, min(rows, columns) / 8)
    assert (
        covered * rows * columns <= missing <= covered * rows * columns + 8 * (longest + width) * (width + 1)
    )


def test_strokes_and_blobs_hang_together() -> None:
    """What is missing are few regions, where single pixels of the same share are many."""

    def regions(mask: str) -> int:
        known = InpaintingSettings(mask=mask, covered=0.25, missing=0.25).known(128, 128)
        return int(scipy.ndimage.label(~known.numpy())[1])

    assert regions("strokes") < 20
    assert regions("blobs") < 60
    assert regions("pixels") > 500


@pytest.mark.parametrize("seed", [0, 1])
def test_missing_pixels_measure_nothing(seed: int) -> None:
    """And the others have the whole noise, also where the run's seed is the mask's pattern."""
    settings = InpaintingSettings(mask="pixels", noise=0.2, pattern=0)
    A = Inpainting.of((1, 64, 64), settings, CPU)
    x = torch.ones(1, 64, 64)
    measured = simulate(A, x, settings, rng(seed)).measurement
    assert bool((measured[:, ~A.known] == 0).all())
    assert abs(float((measured - x)[:, A.known].mean())) < 0.02
    assert float((measured - x)[:, A.known].std()) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.004, 0.3, 0.9])
@pytest.mark.parametrize("shape", [(90, 70), (200, 30), (17, 120)])
def test_the_nearest_known_pixels_are_the_same_some_rows_at_a_time(
    share: float, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that are equally near, too; 0 is one known pixel."""
    known = torch.rand(shape, generator=rng(1)) < share
    known[shape[0] // 3, shape[1] // 5] = True
    found = scipy.ndimage.distance_transform_edt(~known.numpy(), return_distances=False, return_indices=True)
    monkeypatch.setattr("padis_gui.core.physics.pixelwise._NEAREST_AT_ONCE", 500)
    assert np.array_equal(nearest_known(known).numpy(), found)


def test_fill_keeps_what_is_known_and_continues_a_slope() -> None:
    """A slope is harmonic: the Laplace equation continues it exactly."""
    x = torch.linspace(0, 1, 40).expand(1, 40, 40) + torch.linspace(0, 0.5, 40)[:, None]
    known = torch.ones(40, 40, dtype=torch.bool)
    known[10:22, 15:30] = False
    A = Inpainting((1, 40, 40), known)
    filled = A.pinv(A(x) + 9.0 * (~known))  # what is written into the holes is not looked at
    assert torch.equal(filled[:, known], x[:, known])
    torch.testing.assert_close(filled, x, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "bright", "dtype"),
    [("m.png", 255, np.uint8), ("m.png", 1, np.uint8), ("m.npy", 1, bool), ("m.tif", 1.0, np.float32)],
)
def test_mask_from_a_file(tmp_path: Path, name: str, bright: float, dtype: type) -> None:
    missing = np.zeros((24, 32), bool)
    missing[3:9, 20:30] = True
    path, values = tmp_path / name, (missing * bright).astype(dtype)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".png":
        Pillow.fromarray(values).save(path)
    else:
        tifffile.imwrite(path, values)
    settings = InpaintingSettings(mask="file", mask_file=str(path))
    picture = read_named_picture(settings)
    assert torch.equal(settings.known(24, 32, picture), torch.from_numpy(~missing))
    with pytest.raises(InputError, match=r"32 x 32 pixels, was wanted, but m\.\w+ has 24 x 32"):
        settings.known(32, 32, picture)


def known(settings: InpaintingSettings) -> torch.Tensor:
    return settings.known(20, 20, read_named_picture(settings))


def test_bad_masks_are_explained(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", np.ones((20, 20)))
    with pytest.raises(SettingError, match="all of them are missing"):
        known(InpaintingSettings(mask="file", mask_file=str(tmp_path / "all.npy")))
    np.save(tmp_path / "none.npy", np.zeros((20, 20)))
    assert bool(known(InpaintingSettings(mask="file", mask_file=str(tmp_path / "none.npy"))).all())
    with pytest.raises(SettingError, match="none was given"):
        InpaintingSettings(mask="file").known(20, 20)
    with pytest.raises(SettingError, match="side is 24"):
        InpaintingSettings().known(20, 40)
    with pytest.raises(SettingError, match="all of them are missing"):
        InpaintingSettings(boxes=1, box_side=20).known(20, 20)


# -- denoising ----------------------------------------------------------------------------------------------


def test_denoising_starts_from_the_noisy_picture() -> None:
    settings = DenoisingSettings()
    A = Denoising((1, 64, 64))
    problem = simulate(A, phantom(64)[None], settings, rng())
    assert torch.equal(A.pinv(problem.measurement), problem.measurement)
    assert problem.noise == settings.noise == 0.1
    assert psnr(problem.measurement, phantom(64)[None]) == pytest.approx(20, abs=2)


# -- files in a recipe --------------------------------------------------------------------------------------


def test_a_recipe_names_and_hashes_its_kernel(
    prior: PatchPrior, phantom_path: Path, prior_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "kernel.npy"
    np.save(kernel, lopsided(5, 5).numpy())
    monkeypatch.chdir(tmp_path)

    def recipe():
        return make_recipe(
            image=read_image(phantom_path), data_path=phantom_path, prior=prior, prior_path=prior_path,
            physics="deblur", problem=BlurSettings(kernel="file", kernel_file="kernel.npy"),
            tiling=TilingSettings(), solver="fast", settings=find_solver("fast").settings_type(), seed=1,
        )  # fmt: skip

    described = recipe()
    assert described.files == {str(kernel): file_sha256(kernel)}
    assert described.problem_settings.kernel_file == str(kernel)  # found from any folder
    kernel.unlink()
    with pytest.raises(InputError, match=r"kernel\.npy was wanted .* cannot be read \(No such file"):
        recipe()
