"""A study as it is wanted and as it stands: its file, what strangers may write there, its pictures and its series."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.exports.about import read_result
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.settings.errors import InputError, Interrupted, PadisError
from padis_gui.core.studies.experiment import picture_of, run_grid
from padis_gui.core.studies.request import (
    PICTURES,
    RESULTS_FILE,
    StudyRequest,
    images_in,
    load_study,
    pages_of,
    save_study,
    studies_in,
)
from padis_gui.core.studies.standing import StudyReader
from padis_gui.core.studies.studies import STUDIES
from padis_gui.core.studies.table import Row, Spread, axes_of, names_of, series_of
from tests.waiting import interrupted_at


@pytest.fixture
def request_of(tmp_path: Path, prior_path: Path) -> StudyRequest:
    pages = np.random.default_rng(0).integers(-1000, 1000, (2, 32, 40), dtype=np.int16)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    return StudyRequest(
        title="few", images=(tmp_path / "stack.tif",), problems=("ct-8",), solvers=("dds", "sirt"),
        tilings=("random", "fixed"), varied={"views": ("4", "6"), "dds.steps": ("1", "2")}, priors=(prior_path,),
        device="cpu",
    )  # fmt: skip


def run(request: StudyRequest, folder: Path, check=lambda: None) -> int:
    """Run it there, as the command line does."""
    grid = request.grid(images_in(request.images, request.pages))
    save_study(request, folder)
    found = run_grid(
        grid.points(), lambda path: load_prior(path, torch.device("cpu"), "float32"), folder / RESULTS_FILE,
        pictures=folder / PICTURES, check=check,
    )  # fmt: skip
    return sum(1 for _ in found)


@pytest.mark.parametrize("budget", ["trial", "full"])
@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_what_was_wanted_comes_back_from_its_file(study, budget, tmp_path: Path) -> None:
    wanted = study.request(
        (tmp_path / "a.tif",), budget, seed=3, pages=(0, 7), priors=(tmp_path / "p",), device="cpu"
    )
    save_study(wanted, tmp_path / "there")
    assert load_study(tmp_path / "there") == wanted
    assert studies_in(tmp_path) == [tmp_path / "there"]


@pytest.mark.parametrize("change", [
    {"seeds": [2**70]}, {"seeds": [-1]}, {"most_images": -1}, {"most_images": 2**80}, {"pages": [-1]}, {"version": 2},
    {"format": "padis-gui training"}, {"problems": "ct-8"}, {"problems": ["x" * 1000]}, {"varied": {"views": "8"}},
    {"varied": {str(n): ["1"] for n in range(50)}}, {"images": [3]}, {"unknown": 1}, {"seeds": [1] * 5000},
    {"positions": [True, False, True]}, {"device": "x" * 1000},
])  # fmt: skip
def test_a_study_of_a_stranger_is_refused_in_one_sentence(change, tmp_path: Path, request_of) -> None:
    save_study(request_of, tmp_path)
    path = tmp_path / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError) as refused:
        load_study(tmp_path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("change", [
    {"problems": ("nothing",)}, {"solvers": ("nothing",)}, {"tilings": ("nothing",)}, {"varied": {"nothing": ("1",)}},
    {"varied": {"views": ("1e9",)}}, {"device": "abacus"}, {"varied": {"views": ()}},
    {"seeds": tuple(range(1000)), "varied": {"views": tuple(map(str, range(1, 1000))), "noise": ("0", "1")}},
])  # fmt: skip
def test_names_and_values_that_nothing_has_are_refused(change, request_of) -> None:
    request = request_of.model_copy(update=change)
    if "device" in change:
        request = request.model_copy(update={"priors": ()})
    with pytest.raises(PadisError) as refused:
        list(request.grid(pages_of(request.images)).points())
    assert "\n" not in str(refused.value)


def test_it_is_followed_while_it_is_run_and_every_picture_restores_its_run(
    request_of, tmp_path: Path
) -> None:
    folder = tmp_path / "there"
    with pytest.raises(Interrupted):
        run(request_of, folder, interrupted_at(25))
    reader = StudyReader(folder)
    before = reader.read()
    assert 0 < len(before.results) < before.total
    assert not before.finished
    known = (folder / RESULTS_FILE).read_bytes()
    assert run(request_of, folder) == before.total
    assert (folder / RESULTS_FILE).read_bytes().startswith(known)  # what was known is not run again
    after = reader.read()
    assert after.finished
    assert not after.failed
    assert after.results[: len(before.results)] != ()
    names = set()
    for result in after.results:
        path = after.picture(result)
        assert path is not None
        names.add(path)
        found = read_result(path)
        assert found.recipe.seed == result.point.seed
        assert found.metrics["psnr"] == pytest.approx(result.metrics["psnr"])
        assert found.estimate.shape == (1, 32, 40)
    assert len(names) == after.total
    # views 4 and 6: DDS in two tilings and with two numbers of steps, SIRT once
    assert len(after.rows) == 2 * (2 * 2 + 1)
    assert len(set(names_of(after.rows))) == len(after.rows)
    assert axes_of(after.rows) == ["views", "steps"]
    for series in series_of(after.rows, "views", "psnr"):
        assert series.x == (4.0, 6.0)
    assert sum(len(s.x) for s in series_of(after.rows, "steps", "difference")) == 8
    assert [s.x for s in series_of(after.rows, None, "psnr")] == [(float(n + 1),) for n in range(10)]


def test_a_result_without_room_for_its_picture_counts(request_of, tmp_path: Path, caplog) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / PICTURES).write_text("a file where the folder should be")
    one = request_of.model_copy(update={"solvers": ("sirt",), "varied": {}, "most_images": 1})
    assert run(one, tmp_path / "there") == 1
    assert "picture" in caplog.text
    standing = StudyReader(tmp_path / "there").read()
    assert standing.finished
    assert standing.picture(standing.results[0]) is None


@given(st.text(max_size=300), st.integers(0, 10**6))
def test_a_picture_has_a_name_that_every_system_takes(name: str, page: int) -> None:
    request = STUDIES.find("solvers").request((Path("x"),), "trial", priors=(Path("p"),))
    point = next(request.grid(((Path("x"), 0),)).points())
    point = replace(point, data=Path(name.replace("/", "").replace("\0", "") or "x"), page=page)
    path = picture_of(point, Path("there"))
    assert path.parent == Path("there")
    assert path.name.isascii()
    assert len(path.name) < 128
    assert not set(path.name) & set('<>:"/\\|?* ')


def row(problem: str, solver: str, difference: float | None, **varied: str) -> Row:
    from padis_gui.core.studies.grid import Group

    group = Group(problem, solver, "random", "p", "on", tuple(varied.items()))
    spread = Spread(mean=30.0, deviation=1.0, half_width=0.5, count=4)
    other = None if difference is None else Spread(mean=difference, deviation=1.0, half_width=0.1, count=4)
    return Row(
        group=group, count=4, failed=0, means={"psnr": 30.0}, spreads={"psnr": spread}, difference=other
    )


def test_series_stand_along_a_setting_in_its_order_and_differences_begin_at_nothing() -> None:
    rows = [
        row("p", "a", None, s="10"),
        row("p", "a", 2.0, s="9"),
        row("p", "b", 1.0, s="9"),
        row("p", "b", 3.0, s="x"),
    ]
    assert axes_of(rows) == []  # not all are numbers
    rows = rows[:3]
    assert axes_of(rows) == ["s"]
    first, second = series_of(rows, "s", "difference")
    assert (first.name, first.x, first.means) == ("a", (9.0, 10.0), (2.0, 0.0))
    assert math.isnan(first.half_widths[1])  # it is no estimate
    assert (second.name, second.x, second.half_widths) == ("b", (9.0,), (0.1,))
