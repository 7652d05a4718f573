"""The public API: the README's example, the command line's bits, arrays in and out, and what is refused."""

import base64
import inspect
import io
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image as PilImage

import padis_gui as pg
from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_export
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import specs
from padis_gui.core.settings.files import pixels_sha256
from padis_gui.core.solvers.registry import SOLVERS
from tests.waiting import run_afresh

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def tiny(prior_path: Path) -> pg.OpenedPrior:
    return pg.prior(prior_path, device="cpu", precision="float32")


@pytest.fixture
def phantom(phantom_path: Path) -> pg.OpenedImage:
    return pg.open(phantom_path)


# -- the package ------------------------------------------------------------------------------------------


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = (
        "import sys, padis_gui as pg\n"
        "assert 'reconstruct' in dir(pg) and pg.PadisError.__name__ == 'PadisError'\n"
        "assert not hasattr(pg, 'nonsense')\n"
        "heavy = {'torch', 'numpy', 'scipy', 'astra', 'pydantic', 'PySide6'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "pg.open\n"
        "assert 'torch' in sys.modules and 'PySide6' not in sys.modules and 'rich' not in sys.modules\n"
    )
    run_afresh(code)


def test_the_package_is_typed_and_names_what_it_has() -> None:
    assert (Path(pg.__file__).parent / "py.typed").is_file()
    for name in pg.__all__:
        assert getattr(pg, name).__doc__, name


def test_the_example_of_the_readme_runs(tmp_path: Path, phantom_path: Path, monkeypatch: Any) -> None:
    section = README.read_text(encoding="utf-8").split("## From Python\n")[1].split("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.dcm").write_bytes(phantom_path.read_bytes())  # told by content, not by name
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "result.tif").is_file()
    assert names["result"].psnr > 20
    assert names["step"].step == names["step"].total


# -- bits -------------------------------------------------------------------------------------------------


def test_the_bits_are_those_of_the_command_line(
    tiny: pg.OpenedPrior, phantom_path: Path, tmp_path: Path
) -> None:
    """With the preset that the command line takes where none is given; also through the file that both write."""
    problem = pg.ct(pg.open(phantom_path), views=12, noise=0.01)
    result = pg.reconstruct(problem, tiny, preset="ct-20", steps=3, seed=4)
    result.save(tmp_path / "from-python.tif")
    arguments = [
        "reconstruct",
        str(phantom_path),
        "--prior",
        str(tiny.path),
        "--views",
        "12",
        "--noise",
        "0.01",
    ]
    arguments += ["--steps", "3", "--seed", "4", "--precision", "float32", "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "from-shell.tif")]) == 0
    python, shell = (read_export(tmp_path / name) for name in ("from-python.tif", "from-shell.tif"))
    assert python.recipe == shell.recipe
    assert python.about.sha256 == shell.about.sha256 == pixels_sha256(result.pixels)
    assert python.metrics == shell.metrics
    assert main(["repeat", str(tmp_path / "from-python.tif")]) == 0
    assert np.array_equal(pg.repeat(tmp_path / "from-python.tif").pixels, result.pixels)


def test_a_preset_is_for_its_own_problem(tiny: pg.OpenedPrior, phantom: pg.OpenedImage) -> None:
    own, other = pg.ct(phantom, views=8), pg.denoise(phantom)
    assert pg.steps(own, tiny, preset="ct-8").recipe.settings["steps"] == 26
    assert pg.steps(own, tiny, preset="ct-8", steps=2).recipe.settings["steps"] == 2
    plain = pg.steps(other, tiny, "fast").recipe.settings
    assert pg.steps(other, tiny, preset="ct-8").recipe.settings == plain
    with pytest.raises(pg.PadisError, match="preset"):
        pg.steps(own, tiny, preset="ct-9")


def test_every_solver_and_physics_can_be_named(tiny: pg.OpenedPrior, phantom: pg.OpenedImage) -> None:
    made = [
        pg.ct(phantom),
        pg.fan(phantom),
        pg.cone(phantom),
        pg.blur(phantom),
        pg.superresolution(phantom),
        pg.inpaint(phantom),
    ]
    made += [pg.denoise(phantom), pg.nothing()]
    assert [problem.physics for problem in made] == [physics.name for physics in PHYSICS]
    for one in made[:-1]:
        assert pg.problem(phantom, one.physics) == one
    own = set(inspect.signature(pg.steps).parameters)
    for solver in SOLVERS:
        assert pg.steps(made[0], tiny, solver.name).recipe.solver == solver.name
        assert not own & {spec.name for spec in specs(solver.settings_type)}, "a setting that cannot be given"


# -- steps ------------------------------------------------------------------------------------------------


def test_steps_are_the_run_and_can_be_left_and_taken_up(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage
) -> None:
    problem = pg.ct(phantom, views=12)
    run = pg.steps(problem, tiny, steps=4, seed=2)
    for step in run:
        if step.step == 2:
            break
    assert run.outcome is None
    with pytest.raises(pg.PadisError, match="goes on"):
        run.result  # noqa: B018
    rest = [step.step for step in run]
    assert rest == [3, 4]
    whole = pg.reconstruct(problem, tiny, steps=4, seed=2)
    assert np.array_equal(run.result.pixels, whole.pixels)
    assert whole.pixels.shape == (1, 64, 64)
    assert step.pixels.shape == (1, 64, 64)
    assert np.isfinite(step.psnr)


def test_steps_are_steered_and_the_recipe_says_so(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage, tmp_path: Path
) -> None:
    run = pg.steps(pg.ct(phantom, views=12), tiny, steps=6, seed=2)
    next(run)
    run.change(zeta=0.5, tiling="random")
    run.change(prior_weight=2.0)  # the other change is kept
    next(run)
    next(run)
    result = run.finish()
    assert run.outcome is not None
    assert run.outcome.state is RunState.FINISHED
    assert result.recipe.stop_after == 3
    (change,) = result.recipe.changes
    assert change.tiling is not None
    assert change.tiling.strategy == "random"
    assert (change.settings["zeta"], change.settings["prior_weight"]) == (0.5, 2.0)
    result.save(tmp_path / "steered.tif")
    assert np.array_equal(pg.repeat(tmp_path / "steered.tif").pixels, result.pixels)
    with pytest.raises(pg.PadisError, match="may change"):
        run.change(steps=3)


def test_a_cancelled_run_has_no_result_and_an_error_is_raised_at_the_end(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage, monkeypatch: Any
) -> None:
    run = pg.steps(pg.ct(phantom, views=12), tiny, steps=3)
    next(run)
    run.control.cancel()
    assert list(run) == []
    with pytest.raises(pg.PadisError, match="cancelled"):
        run.result  # noqa: B018
    monkeypatch.setattr("padis_gui.core.solvers.driver._EXPLODED", 1e-9)
    failing, seen = pg.steps(pg.ct(phantom, views=12), tiny, steps=3), []
    with pytest.raises(pg.PadisError, match="diverged"):
        seen.extend(failing)
    with pytest.raises(pg.PadisError, match="diverged"):
        failing.result  # noqa: B018


# -- arrays -----------------------------------------------------------------------------------------------


def test_an_array_is_reconstructed_and_repeated_like_a_file(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage, tmp_path: Path, capsys: Any
) -> None:
    pixels = np.array(phantom.pixels[0])
    image = pg.open(pixels, spacing=(0.5, 0.7))
    pixels[:] = 0  # the array was copied
    assert (image.unit, image.window, image.spacing) == ("HU", (-1000.0, 1000.0), (0.5, 0.7))
    result = pg.reconstruct(pg.ct(image, views=12), tiny, steps=2, seed=1)
    assert np.array_equal(
        result.pixels, pg.reconstruct(pg.ct(phantom, views=12), tiny, steps=2, seed=1).pixels
    )
    assert result.recipe.data.file == ""
    path = tmp_path / "array.tif"
    result.save(path)
    assert Recipe.model_validate_json(result.recipe.model_dump_json()) == result.recipe
    with pytest.raises(pg.PadisError, match="was an array"):
        pg.repeat(path)
    assert main(["repeat", str(path)]) == 2
    said = capsys.readouterr().err
    assert "was an array" in said
    assert "--data" in said
    assert np.array_equal(pg.repeat(path, data=phantom.pixels).pixels, result.pixels)
    with pytest.raises(pg.PadisError, match="another one came"):
        pg.repeat(path, data=phantom.pixels + 1)
    np.save(tmp_path / "array.npy", phantom.pixels[0])
    assert main(["repeat", str(path), "--data", str(tmp_path / "array.npy")]) == 0


def test_a_window_that_is_said_is_used(tiny: pg.OpenedPrior, phantom: pg.OpenedImage) -> None:
    image = pg.open(phantom.pixels, unit="HU", window=(-200, 300))
    run = pg.steps(pg.denoise(image), tiny, steps=1)
    assert run.recipe.data.window == (-200.0, 300.0)
    assert pg.steps(pg.denoise(phantom), tiny, steps=1).recipe.data.window == tiny.window


@pytest.mark.parametrize("shape", [(20, 24), (1, 20, 24), (3, 20, 24), (20, 24, 3), (4, 20, 24)])
@pytest.mark.parametrize("kind", [np.uint8, np.float16, np.float64, torch.float32, torch.bfloat16])
def test_arrays_of_every_kind_become_images(shape: tuple[int, ...], kind: Any) -> None:
    values = (np.arange(np.prod(shape)) % 200).reshape(shape)
    given = torch.tensor(values).to(kind) if isinstance(kind, torch.dtype) else values.astype(kind)
    image = pg.open(given)
    channels = 3 if 3 in shape or 4 in shape else 1
    assert image.pixels.shape == (channels, 20, 24)
    assert image.pixels.dtype == np.float32
    assert pg.open(image.pixels).pixels.shape == image.pixels.shape
    assert np.array_equal(np.asarray(image), image.pixels)


def test_line_integrals_in_memory_are_a_scan(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage, tmp_path: Path
) -> None:
    run = pg.steps(pg.ct(phantom, views=40, bins=96), tiny, "baseline")
    (step,) = run
    sinogram = step.problem.measurement[0].numpy()
    problem = pg.scan(sinogram, angles=np.arange(40) * 4.5, bin_width=1.0, image_size=64, centre=0.0)
    assert problem.physics == "ct-parallel"
    assert problem.source.spacing == pytest.approx((1.5, 1.5))
    result = pg.reconstruct(problem, tiny, "sirt", seed=1)
    assert result.unit == "1/mm"
    assert np.isnan(result.psnr)
    assert result.metrics["residual"] < 0.3
    result.save(tmp_path / "scan.tif")
    assert np.array_equal(pg.repeat(tmp_path / "scan.tif", data=problem.source).pixels, result.pixels)
    fan = pg.scan(sinogram, angles=np.arange(40) * 9, source_distance=300, detector_distance=200, bin_width=1)
    assert fan.physics == "ct-fan"
    for wrong in (
        {},
        {"angles": [1, 2]},
        {"beam": "cone"},
        {"turn": "left"},
        {"source_distance": 3},
        {"views": 3},
    ):
        with pytest.raises(pg.PadisError):
            pg.scan(sinogram, **({} if wrong == {} else {"angles": np.arange(40)} | wrong))


def test_a_mask_in_memory_is_kept_for_the_recipe(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage, tmp_path: Path
) -> None:
    missing = np.zeros((64, 64), dtype=bool)
    missing[20:30, 10:50] = True
    problem = pg.inpaint(phantom, missing, mask_file=tmp_path / "mask.png")
    (step,) = pg.steps(problem, tiny, "baseline")
    assert torch.equal(step.problem.operator.known, torch.tensor(~missing))
    result = pg.reconstruct(problem, tiny, steps=1)
    assert list(result.recipe.files) == [str(tmp_path / "mask.png")]
    assert pg.inpaint(phantom, missing) == pg.inpaint(phantom, missing)  # in a place of the user's
    assert pg.inpaint(phantom, mask="pixels", missing=0.5).settings.missing == 0.5
    for wrong in (np.zeros(3), "holes", np.zeros((2, 64, 64)), object()):
        with pytest.raises(pg.PadisError):
            pg.inpaint(phantom, wrong)


# -- saving -----------------------------------------------------------------------------------------------


def test_what_is_saved_is_never_written_over_what_the_run_used(
    tiny: pg.OpenedPrior, phantom_path: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.tif"
    data.write_bytes(phantom_path.read_bytes())
    result = pg.reconstruct(pg.ct(data, views=8), tiny, "baseline")
    before = data.read_bytes()
    for bad in (
        data,
        tmp_path / "." / "data.tif",
        tmp_path / "x.png",
        tmp_path / "no" / "x.tif",
        "",
        3,
        tiny.path,
    ):
        with pytest.raises(pg.PadisError):
            result.save(bad)
    for wrong in ({"what": "curves"}, {"values": "int3"}, {"nonsense": 1}):
        with pytest.raises(pg.PadisError):
            result.save(tmp_path / "x.tif", **wrong)
    assert data.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [data]
    assert pg.save(tmp_path / "x.tif", result, tiff="OME", sidecar=True) == tmp_path / "x.tif"
    assert (tmp_path / "x.json").is_file()
    again = pg.open(tmp_path / "x.tif")
    assert np.array_equal(again.pixels, result.pixels)
    assert (again.unit, again.window) == (result.unit, result.window)


# -- in a notebook ------------------------------------------------------------------------------------------


def shown_picture(page: str) -> np.ndarray:
    """The picture inside of what a notebook shows."""
    found = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert found is not None
    return np.asarray(PilImage.open(io.BytesIO(base64.b64decode(found[1]))))


@pytest.mark.parametrize("shape", [(40, 48), (700, 300), (64, 64, 3)])
def test_a_notebook_shows_an_image_in_its_window_with_its_name_as_text(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape, dtype=np.float32)
    image = replace(pg.open(values), image=replace(pg.open(values).image, name='<b>a</b> & "b"'))
    page = image._repr_html_()
    assert "<b>a" not in page
    assert max(shown_picture(page).shape[:2]) <= 512
    assert shown_picture(page).ndim == len(shape)
    black = pg.open(np.where(values > 0.5, 1.0, 0.0).astype(np.float32))._repr_html_()
    assert set(np.unique(shown_picture(black))) >= ({0, 255} if max(shape) < 512 else {0})


def test_a_live_picture_follows_the_steps_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch, tiny: pg.OpenedPrior, phantom: pg.OpenedImage
) -> None:
    problem, prior = pg.ct(phantom, views=6), tiny
    seen: list[str] = []

    class Handle:
        def update(self, shown: Any) -> None:
            seen.append(shown._repr_html_())

    def display(shown: Any, *, display_id: bool) -> Handle:
        assert display_id
        Handle().update(shown)
        return Handle()

    with pytest.raises(pg.PadisError, match="IPython"):
        pg.steps(problem, prior, solver="dds", steps=3, seed=1).show()
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    result = pg.steps(problem, prior, solver="dds", steps=3, seed=1).show()
    assert ["step 1 of 3" in seen[0], "step 2 of 3" in seen[1], "step 3 of 3" in seen[2]] == [True] * 3
    assert seen[3] == result._repr_html_()
    assert np.array_equal(result.pixels, pg.reconstruct(problem, prior, solver="dds", steps=3, seed=1).pixels)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.dcm", "x.ome.zarr"])
def test_a_result_is_saved_by_its_name_for_other_programs(
    tmp_path: Path, tiny: pg.OpenedPrior, phantom: pg.OpenedImage, name: str
) -> None:
    result = pg.reconstruct(pg.ct(phantom, views=6), tiny, solver="dds", steps=2, seed=1)
    path = result.save(tmp_path / name)
    assert path == tmp_path / name
    assert np.abs(pg.open(path).pixels - result.pixels).max() <= (0.5 if name == "x.dcm" else 0)


@pytest.mark.parametrize("fan", [False, True])
def test_what_was_measured_is_saved_and_opened_as_a_scan(
    tmp_path: Path, tiny: pg.OpenedPrior, phantom: pg.OpenedImage, fan: bool
) -> None:
    result = pg.reconstruct(
        pg.ct(phantom, fan=fan, views=20, noise=0.02), tiny, solver="dds", steps=2, seed=1
    )
    again = pg.open(result.save(tmp_path / "scan.h5"))
    assert np.array_equal(again.measurement, result.measured.values)
    # as it is opened it is a scan like any other, and saved once more it is the same
    opened = pg.reconstruct(pg.scan(again), tiny, solver="dds", steps=2, seed=1)
    twice = pg.open(opened.save(tmp_path / "twice.h5"))
    assert np.array_equal(twice.measurement, again.measurement)
    with pytest.raises(pg.PadisError, match="sinogram of a scan"):
        pg.reconstruct(pg.blur(phantom), tiny, solver="dds", steps=2, seed=1).save(tmp_path / "no.h5")


# -- what is refused --------------------------------------------------------------------------------------


def opened_or_refused(source: Any, **more: Any) -> None:
    """The law of :func:`padis_gui.open`: four attributes, or one sentence."""
    image, refused = None, ""
    try:
        image = pg.open(source, **more)
    except pg.PadisError as error:
        refused = str(error)
    assert "\n" not in refused
    if image is None:
        assert refused
        return
    assert image.pixels.dtype == np.float32
    assert image.pixels.ndim == 3
    assert np.isfinite(image.pixels).all()
    assert isinstance(image.unit, str)
    assert image.window[0] < image.window[1]
    assert image.spacing is None or (len(image.spacing) == 2 and min(image.spacing) > 0)
    assert repr(image)


few = hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(
    st.binary(max_size=400),
    st.sampled_from(["a", "a.tif", "a.dcm", "a.mat", "a.h5", "a.npy", "a.nii.gz", "a.png"]),
)
def test_junk_in_files_is_opened_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    opened_or_refused(tmp_path / name)


@few
@given(st.text(max_size=300))
def test_junk_paths_are_refused(tmp_path: Path, name: str) -> None:
    opened_or_refused(str(tmp_path / "nowhere") + "/" + name)


@few
@given(
    npst.arrays(
        dtype=st.one_of(npst.scalar_dtypes(), npst.unicode_string_dtypes()),
        shape=npst.array_shapes(min_dims=0, max_dims=4, max_side=20),
    )
)
def test_any_array_is_opened_or_refused(array: Any) -> None:
    opened_or_refused(array)


@pytest.mark.parametrize(
    "source",
    [
        None, 3, 1.5, b"scan.tif", "", "\0", "x" * 5000, {1: 2}, {1}, [1, 2], [[1, 2], [3]], object(), iter([1]),
        "/dev/zero",
        np.full((20, 20), np.nan), np.full((20, 20), 1e300), np.zeros((20, 20), complex), np.zeros((7, 20, 20)),
        np.zeros((9000, 20)), torch.zeros(20, 20).to_sparse(), torch.zeros((), device="meta"),
        np.ma.masked_less(np.arange(400.0).reshape(20, 20), 9),
    ],
    ids=lambda source: f"{type(source).__name__}-{str(source)[:12]!r}",
)  # fmt: skip
def test_what_is_no_image_is_refused(source: Any) -> None:
    with pytest.raises(pg.PadisError):
        pg.open(source)


def test_folders_and_pipes_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    for name in ("empty", "pipe.tif", "loop.tif", "none.tif"):
        with pytest.raises(pg.PadisError):
            pg.open(tmp_path / name)
        with pytest.raises(pg.PadisError):
            pg.prior(tmp_path / name)
        with pytest.raises(pg.PadisError):
            pg.scan(tmp_path / name)


def test_settings_of_reading_are_arguments_by_name(phantom_path: Path) -> None:
    assert pg.open(phantom_path, scale_low=-500, scale_high=500).window == (-500.0, 500.0)
    assert pg.open(phantom_path, role="measurement").measurement is not None
    for name in ReadingSettings.model_fields:
        opened_or_refused(phantom_path, **{name: "junk"})
        opened_or_refused(np.zeros((20, 20)), **{name: 3})
    for wrong in (
        {"page": 1.5},
        {"page": 9},
        {"page": -1},
        {"page": 10**30},
        {"nonsense": 1},
        {"unit": "HU"},
    ):
        with pytest.raises(pg.PadisError):
            pg.open(phantom_path, **wrong)
    for wrong in (
        {"page": 1},
        {"unit": 3},
        {"window": (1, 0)},
        {"window": 3},
        {"spacing": (0, 1)},
        {"dataset": "a"},
    ):
        with pytest.raises(pg.PadisError):
            pg.open(np.zeros((20, 20)), **wrong)


def test_what_does_not_belong_together_is_refused(
    tiny: pg.OpenedPrior, phantom: pg.OpenedImage, phantom_path: Path
) -> None:
    problem = pg.ct(phantom)
    degraded = pg.open(phantom_path, role="measurement")
    assert pg.denoise(degraded, noise=0.1).source is degraded
    for wrong in (
        lambda: pg.ct(phantom, vews=3), lambda: pg.ct(phantom, views=0), lambda: pg.ct(degraded), lambda: pg.scan(phantom),
        lambda: pg.prior("ct-smal"), lambda: pg.prior(3), lambda: pg.prior(tiny.path, device="tpu"),
        lambda: pg.prior(tiny.path, precision="half"), lambda: pg.prior(phantom_path), lambda: pg.demo("mri"),
        lambda: pg.reconstruct(phantom), lambda: pg.reconstruct(problem, tiny, "nope"),
        lambda: pg.reconstruct(problem, tiny, stpes=3), lambda: pg.reconstruct(problem, tiny, tiling="x"),
        lambda: pg.reconstruct(problem, tiny, patch=17), lambda: pg.reconstruct(problem, tiny, seed=-1),
        lambda: pg.repeat(phantom_path), lambda: pg.repeat("nowhere.tif"), lambda: pg.nothing(views=3),
    ):  # fmt: skip
        with pytest.raises(pg.PadisError):
            wrong()
