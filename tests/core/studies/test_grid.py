"""Any setting may take several values; what has it not is run once."""

from dataclasses import replace
from pathlib import Path

import pytest

from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.presets import PRESETS
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.studies.experiment import run_grid
from padis_gui.core.studies.grid import Grid, Varied, check_size, varied
from padis_gui.core.studies.studies import STUDIES, TRIAL_IMAGES
from padis_gui.core.studies.table import summarise

FEW = replace(PRESETS.find("ct-8"), settings={}, problem={"views": 6, "bins": 96})


def grid_of(
    *axes: Varied, phantom_path: Path, prior_path: Path, solvers: tuple[str, ...] = ("dds", "tv")
) -> Grid:
    """Of the phantom, quickly."""
    overrides = {"dds": {"steps": 2, "cg_steps": 2}, "tv": {"steps": 3}}
    return Grid(
        images=((phantom_path, 0),), problems=(FEW,), priors=(prior_path,), solvers=solvers,
        overrides={name: overrides[name] for name in solvers}, varied=axes,
    )  # fmt: skip


def test_each_combination_once_and_what_lacks_a_setting_once(phantom_path: Path, prior_path: Path) -> None:
    axes = [
        varied(name, values, (FEW,), ("dds", "tv"))
        for name, values in {"views": ("6", "9"), "eta": ("0", "0.5", "1"), "patch": ("16", "32")}.items()
    ]
    points = list(grid_of(*axes, phantom_path=phantom_path, prior_path=prior_path).points())
    assert [(p.method.solver) for p in points].count("dds") == 2 * 3 * 2
    assert [(p.method.solver) for p in points].count("tv") == 2
    assert len({point.key for point in points}) == len(points)
    assert {dict(p.varied).get("views") for p in points} == {"6", "9"}
    for point in points:
        for name, value in point.varied:
            owners = (point.method.problem, point.method.settings, point.method.tiling)
            (held,) = [getattr(owner, name) for owner in owners if name in type(owner).model_fields]
            assert float(held) == float(value)


def test_a_varied_value_is_the_same_case_as_one_that_is_set(phantom_path: Path, prior_path: Path) -> None:
    """Results of an earlier experiment count."""
    plain = grid_of(phantom_path=phantom_path, prior_path=prior_path, solvers=("dds",))
    more = replace(plain, varied=(varied("steps", ("1", "2"), (FEW,), ("dds",)),))
    (known,) = plain.points()
    assert known.key in {point.key for point in more.points()}


def test_a_study_that_was_stopped_comes_to_the_same_numbers(
    phantom_path: Path, prior_path: Path, prior: PatchPrior, tmp_path: Path
) -> None:
    axis = varied("views", ("6", "8", "12"), (FEW,), ("dds",))
    grid = grid_of(axis, phantom_path=phantom_path, prior_path=prior_path)

    def numbers(record: Path) -> list[tuple[object, ...]]:
        rows = summarise(run_grid(grid.points(), lambda _: prior, record))
        return [(row.group, row.means["psnr"], row.means["ssim"], row.difference) for row in rows]

    stopped = run_grid(grid.points(), lambda _: prior, tmp_path / "a.jsonl")
    for _ in range(2):
        next(stopped)
    stopped.close()
    assert numbers(tmp_path / "a.jsonl") == numbers(tmp_path / "b.jsonl")


@pytest.mark.parametrize("name", ["views", "problem.views", "dds.steps", "tiling.patch", "cg-steps", "steps"])
def test_a_name_is_found_where_it_is(name: str) -> None:
    found = varied(name, ("4", "5"), (FEW,), ("dds", "tv"))
    assert found.name == name.rpartition(".")[2].replace("-", "_")
    assert found.solver == ("dds" if name.startswith("dds.") else "")


@pytest.mark.parametrize(("name", "values"), [
    ("nothing", ("1",)), ("fast.steps", ("1",)), ("problem.steps", ("1",)), ("views", ("8", "8")), ("", ("1",)),
    ("views", ()), (".", ("1",)), ("__class__", ("1",)),
])  # fmt: skip
def test_what_cannot_be_varied_is_refused_in_one_sentence(name: str, values: tuple[str, ...]) -> None:
    with pytest.raises(SettingError) as refused:
        varied(name, values, (FEW,), ("dds", "tv"))
    assert "\n" not in str(refused.value)


def test_a_value_that_a_setting_cannot_have_is_refused(phantom_path: Path, prior_path: Path) -> None:
    axis = varied("views", ("6", "many"), (FEW,), ("dds",))
    with pytest.raises(SettingError):
        list(grid_of(axis, phantom_path=phantom_path, prior_path=prior_path).points())


def test_nobody_waits_for_a_million_cases(phantom_path: Path, prior_path: Path) -> None:
    axes = [varied(n, tuple(map(str, range(1, 2000))), (FEW,), ("dds",)) for n in ("views", "steps")]
    with pytest.raises(SettingError, match="vary fewer"):
        check_size(grid_of(*axes, phantom_path=phantom_path, prior_path=prior_path))


@pytest.mark.parametrize("budget", ["trial", "full"])
@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_asks_what_methods_have(study, budget, prior_path: Path, phantom_path: Path) -> None:
    images = tuple((phantom_path, page) for page in range(TRIAL_IMAGES + 1))
    if study.trains:  # its priors are what differs; see test_trained.py
        return
    points = list(study.request((), budget, priors=(prior_path,)).grid(images).points())
    assert len({point.group for point in points}) > 1
    assert len({point.page for point in points}) == TRIAL_IMAGES + (budget == "full")
    assert {point.seed for point in points} == (set(study.seeds) if budget == "full" else {1})
    if study.name == "patch-size":
        assert {point.method.tiling.patch for point in points} == {16, 32}
