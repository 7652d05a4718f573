"""A grid runs every combination once, goes on after an interruption, and survives what fails in it."""

import csv
import io
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from padis_gui.core.files.read import read_image
from padis_gui.core.images.metrics import psnr
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.seams import seam_ratio
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs import engine
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import build_problem
from padis_gui.core.runs.presets import Preset
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.studies import results as results_file
from padis_gui.core.studies.experiment import GridResult, run_grid
from padis_gui.core.studies.grid import Grid, GridPoint
from padis_gui.core.studies.table import as_csv, as_markdown, summarise

FEW = Preset("few", "Few views", "", "ct-parallel", {"views": 6, "bins": 96}, "dds", {"cg_steps": 2})
MORE = Preset("more", "More views", "", "ct-parallel", {"views": 12, "bins": 96}, "dds", {})


@pytest.fixture
def grid(phantom_path: Path, prior_path: Path) -> Grid:
    return Grid(
        images=((phantom_path, 0),), problems=(FEW, MORE), priors=(prior_path,), solvers=("dds", "fast"),
        overrides={"dds": {"steps": 3}, "fast": {"steps": 2, "cg_steps": 2}},
        tilings=(TilingSettings(strategy="random"), TilingSettings(strategy="whole")), seeds=(1, 2),
    )  # fmt: skip


def finish(grid: Grid, prior: PatchPrior, record: Path | None = None) -> list[GridResult]:
    return list(run_grid(grid.points(), lambda _: prior, record))


# -- points ------------------------------------------------------------------------------------------------


def test_a_grid_is_the_product_of_its_parts(grid: Grid) -> None:
    points = list(grid.points())
    assert len(points) == 2 * 2 * 2 * 2
    assert len({point.key for point in points}) == len(points)
    assert len({point.group for point in points}) == 8
    assert [point.key for point in grid.points()] == [point.key for point in points]


def test_settings_come_from_the_preset_and_then_from_the_overrides(grid: Grid) -> None:
    steps = {(c.problem, c.method.solver): c.method.settings.model_dump() for c in grid.points()}
    assert (steps["few", "dds"]["steps"], steps["few", "dds"]["cg_steps"]) == (
        3,
        2,
    )  # the preset's own solver
    assert steps["more", "dds"]["cg_steps"] != 2
    assert steps["few", "fast"]["steps"] == 2
    assert {c.method.solver for c in replace(grid, solvers=()).points()} == {"dds"}


def test_the_key_follows_what_matters_and_nothing_else(grid: Grid, tmp_path: Path) -> None:
    point = next(grid.points())
    moved = tmp_path / "moved.tif"
    moved.write_bytes(point.data.read_bytes())
    assert replace(point, data=moved, problem="another name").key == point.key
    method = point.method
    others = (
        {"positions": False}, {"tiling": TilingSettings(strategy="fixed")},
        {"settings": method.settings.model_copy(update={"eta": 0.5})},
        {"problem": method.problem.model_copy(update={"views": 7})},
    )  # fmt: skip
    changes = [{"method": replace(method, **other)} for other in others]
    for change in ({"page": 1}, {"seed": 3}, {"data": point.prior}, {"prior": point.data}, *changes):
        assert replace(point, **change).key != point.key
    moved.write_bytes(b"another image")
    assert replace(point, data=moved).key != point.key


def test_contradictions_are_found_before_the_first_run(grid: Grid) -> None:
    blind = Preset("blind", "", "", "nothing", {}, "dds", {})
    for changes, said in (
        ({"solvers": ("magic",)}, "one of fast"), ({"overrides": {"dds": {"eta": 7}}}, "0 to 1"),
        ({"seeds": (-1,)}, "seed"),
        ({"overrides": {"dds": {"sigma_max": 0.001}}}, "sigma_min < sigma_max"), ({"problems": (blind,)}, "truth"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=said):
            list(replace(grid, **changes).points())


# -- results ----------------------------------------------------------------------------------------------


def test_results_are_those_of_the_runs_themselves(grid: Grid, prior: PatchPrior) -> None:
    results = finish(grid, prior)
    assert [result.point for result in results] == list(grid.points())
    image = read_image(grid.images[0][0])
    for result in results[:4]:
        assert result.recipe is not None
        recipe = result.recipe
        problem = build_problem(image, prior, recipe.physics, recipe.problem_settings, recipe.seed)
        last = drain(solve(recipe, problem, prior))
        assert problem.truth is not None
        assert last.partition is not None
        assert result.metrics["psnr"] == psnr(last.estimate, problem.truth)
        assert result.metrics["evaluations"] == last.evaluations
        baseline = problem.operator.pinv(problem.measurement)
        assert result.metrics["psnr_baseline"] == psnr(baseline, problem.truth)
        found = seam_ratio(last.estimate, last.partition, problem.truth)
        if recipe.tiling.strategy == "whole":
            assert math.isnan(result.metrics["seam_ratio"])
        else:
            assert result.metrics["seam_ratio"] == found
        assert result.metrics["seconds"] > 0
        assert not result.error


def test_positions_can_be_taken_from_the_prior(grid: Grid, prior: PatchPrior) -> None:
    both = replace(grid, positions=(True, False), problems=(FEW,), solvers=("dds",), seeds=(1,))
    results = finish(both, prior)
    by = {(r.point.method.tiling.strategy, r.point.method.positions): r for r in results}
    for strategy in ("random", "whole"):
        told, blind = by[strategy, True], by[strategy, False]
        assert told.metrics["psnr"] != blind.metrics["psnr"]
        assert told.recipe is not None
        assert blind.recipe is not None
        assert (told.recipe.prior.positions, blind.recipe.prior.positions) == (True, False)


def test_a_baseline_runs_once_for_all_tilings(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    tv = replace(grid, problems=(FEW,), solvers=("tv", "fast"), overrides={}, seeds=(1,))
    points = list(tv.points())
    assert [point.method.solver for point in points] == ["tv", "fast", "fast"]
    assert points[0].group[2] == ""
    fixed = replace(points[0].method, tiling=TilingSettings(strategy="fixed"))
    assert replace(points[0], method=fixed).key == points[0].key
    assert not points[0].method.asks_prior
    for denoiser in ("prior", "tv"):
        around = Method.of(physics="denoising", problem={}, solver="red", settings={"denoiser": denoiser})
        assert around.asks_prior == (denoiser == "prior")


# -- the record -------------------------------------------------------------------------------------------


def test_a_stopped_grid_goes_on_where_it_was(grid: Grid, prior: PatchPrior, tmp_path: Path) -> None:
    record = tmp_path / "results.jsonl"
    begun = run_grid(grid.points(), lambda _: prior, record)
    first = [next(begun) for _ in range(5)]
    begun.close()
    opened: list[Path] = []

    def noted(path: Path) -> PatchPrior:
        opened.append(path)
        return prior

    results = list(run_grid(grid.points(), noted, record))
    assert len(record.read_text(encoding="utf-8").splitlines()) == len(results) == 16
    assert [r.metrics["psnr"] for r in results[:5]] == [r.metrics["psnr"] for r in first]
    assert opened  # the rest was run
    opened.clear()
    again = list(run_grid(grid.points(), noted, record))
    assert not opened
    for old, new in zip(results, again, strict=True):
        assert as_comparable(old) == as_comparable(new)
    line = json.loads(record.read_text(encoding="utf-8").splitlines()[0])
    assert line["recipe"]["seed"] == 1
    assert line["problem"] == "few"


def as_comparable(result: GridResult) -> tuple[str, dict[str, float | None]]:
    return result.point.key, {k: None if math.isnan(v) else v for k, v in result.metrics.items()}


def test_a_torn_line_is_run_again_and_the_others_stay(
    grid: Grid, prior: PatchPrior, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record, small = tmp_path / "results.jsonl", replace(grid, problems=(FEW,), solvers=("dds",))
    finish(small, prior, record)
    text = record.read_text(encoding="utf-8")
    record.write_text(text[:-200], encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert len(finish(small, prior, record)) == 4
    assert "1 lines of results.jsonl" in caplog.text
    lines = record.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    again = json.loads(lines[-1])
    assert again["key"] == json.loads(text.splitlines()[-1])["key"]


def test_a_record_that_is_none(grid: Grid, prior: PatchPrior, tmp_path: Path) -> None:
    (tmp_path / "picture.jsonl").write_bytes(bytes(range(256)))
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("picture.jsonl", "folder.jsonl"):
        with pytest.raises(InputError, match="file of results"):
            next(run_grid(grid.points(), lambda _: prior, tmp_path / name))
    with pytest.raises(InputError, match="cannot be written"):
        next(run_grid(grid.points(), lambda _: prior, tmp_path / "none" / "r.jsonl"))


def test_results_that_the_disk_refuses_are_written_later_or_to_another_file(
    grid: Grid,
    prior: PatchPrior,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record, honest = tmp_path / "r.jsonl", results_file._append
    refused = [3, 4]  # of the appends, the first of which tries the file

    def append(path: Path, line: str) -> None:
        counted.append(path)
        if path == record and len(counted) in refused:
            raise InputError("No room.")
        honest(path, line)

    monkeypatch.setattr(results_file, "_append", append)
    counted: list[Path] = []
    wanted = [result.point.key for result in finish(grid, prior, record)]
    assert caplog.text.count("No room. The results are kept, and it is tried again.") == 2

    def keys(path: Path) -> list[str]:
        return [json.loads(line)["key"] for line in path.read_text().splitlines()]

    assert keys(record) == wanted
    record.unlink()
    counted, refused = [], [len(wanted), len(wanted) + 1]
    with pytest.raises(
        InputError, match=r"2 results could not be written to .* are in .*r-kept\.jsonl; make room"
    ):
        finish(grid, prior, record)
    assert keys(record) + keys(tmp_path / "r-kept.jsonl") == wanted
    record.unlink()
    counted, refused = [], [2]
    stopped = run_grid(grid.points(), lambda _: prior, record)
    next(stopped)
    stopped.close()
    assert keys(tmp_path / "r-kept-2.jsonl") == wanted[:1]


# -- failures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SettingError("this does not go"), ZeroDivisionError("a defect")])
def test_a_failing_case_is_told_and_the_next_one_runs(
    grid: Grid, prior: PatchPrior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    real, record = engine.solve, tmp_path / "results.jsonl"

    def sometimes(recipe, problem, prior):
        if recipe.solver == "fast":
            raise error
        return real(recipe, problem, prior)

    monkeypatch.setattr(engine, "solve", sometimes)
    with caplog.at_level(logging.CRITICAL):
        results = finish(grid, prior, record)
    assert [bool(r.error) for r in results] == [r.point.method.solver == "fast" for r in results]
    assert all(str(error) in r.error and not r.metrics for r in results if r.error)
    monkeypatch.setattr(engine, "solve", real)
    assert not any(r.error for r in finish(grid, prior, record))  # what failed is tried again
    assert len(record.read_text(encoding="utf-8").splitlines()) == 16 + 8


def test_a_page_that_does_not_exist_fails_alone(grid: Grid, prior: PatchPrior) -> None:
    path = grid.images[0][0]
    results = finish(replace(grid, images=((path, 3), (path, 0)), problems=(FEW,), seeds=(1,)), prior)
    assert [bool(r.error) for r in results] == [True] * 4 + [False] * 4


# -- tables -----------------------------------------------------------------------------------------------


def made_up(grid: Grid) -> Iterator[GridResult]:
    for number, point in enumerate(grid.points()):
        if point.method.solver == "fast" and point.seed == 2:
            yield GridResult(point=point, metrics={}, error="no")
        else:
            seam = math.nan if point.method.tiling.strategy == "whole" else 1.25
            yield GridResult(point=point, metrics={"psnr": float(number), "ssim": 0.5, "seam_ratio": seam})


def test_a_row_is_the_mean_over_images_and_seeds(grid: Grid) -> None:
    results = list(made_up(grid))
    rows = summarise(results)
    assert len(rows) == 8
    for row in rows:
        members = [r for r in results if r.point.group == row.group and not r.error]
        assert row.means["psnr"] == pytest.approx(sum(r.metrics["psnr"] for r in members) / len(members))
        assert (row.count, row.failed) == (2, row.group[1] == "fast")
        assert ("seam_ratio" in row.means) == (row.group[2] != "whole")


def test_tables_hold_every_row(grid: Grid) -> None:
    rows = summarise(made_up(grid))
    lines = as_markdown(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.count("|") for line in lines}) == 1
    assert "positions" not in lines[0]  # the same everywhere
    assert "failed" in lines[0]
    table = list(csv.DictReader(io.StringIO(as_csv(rows))))
    for row, found in zip(rows, table, strict=True):
        assert (found["problem"], found["solver"], found["tiling"]) == row.group[:3]
        assert float(found["psnr"]) == row.means["psnr"]
        assert found["positions"] == "on"
        assert (found["seam_ratio"] == "") == (row.group[2] == "whole")
    blind = summarise(made_up(replace(grid, positions=(True, False))))
    assert "positions" in as_markdown(blind).splitlines()[0]
    twins = (Path("one/prior.safetensors"), Path("two/prior.safetensors"))
    told_apart = as_markdown(summarise(made_up(replace(grid, priors=twins))))
    assert all(f"| {path.parent.name} |" in told_apart for path in twins)  # by the folder of their training
    twins = (Path("one/mine.safetensors"), Path("two/mine.safetensors"))
    told_apart = as_markdown(summarise(made_up(replace(grid, priors=twins))))
    assert all(str(path) in told_apart for path in twins)
    assert summarise([]) == []


def test_running_a_grid_leaves_the_global_generator_alone(grid: Grid, prior: PatchPrior) -> None:
    before = torch.random.get_rng_state()
    finish(replace(grid, problems=(FEW,), seeds=(1,)), prior)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_cases_are_values(grid: Grid) -> None:
    first, second = (next(grid.points()) for _ in range(2))
    assert isinstance(first, GridPoint)
    assert first == second
