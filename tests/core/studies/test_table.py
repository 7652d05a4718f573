"""What the numbers of a study mean: intervals, and differences that belong to the same image and seed."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from padis_gui.core.runs.method import Method
from padis_gui.core.studies.experiment import GridResult
from padis_gui.core.studies.grid import GridPoint
from padis_gui.core.studies.page import as_html
from padis_gui.core.studies.table import as_markdown, spread_of, summarise, table_of

_DECIBELS = st.floats(0, 60, allow_nan=False)


def result(
    solver: str, page: int, seed: int, psnr: float, *, problem: str = "ct", views: str = ""
) -> GridResult:
    """As a grid has it, of a method that was never run."""
    method = Method.of(physics="denoising", problem={}, solver=solver, settings={})
    point = GridPoint(
        data=Path("a.tif"), page=page, problem=problem, method=method, prior=Path("p"), seed=seed,
        varied=(("views", views),) if views else (), measured=("views",) if views else (),
    )  # fmt: skip
    return GridResult(point=point, metrics={"psnr": psnr})


@given(st.lists(_DECIBELS, min_size=2, max_size=8))
def test_an_interval_is_students(values: list[float]) -> None:
    found = spread_of({(Path("a"), page): [value] for page, value in enumerate(values)})
    assert found is not None
    assert found.mean == pytest.approx(np.mean(values))
    if np.std(values) > 1e-6:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert found.half_width == pytest.approx((high - low) / 2)


@given(st.lists(st.lists(_DECIBELS, min_size=3, max_size=3), min_size=2, max_size=5))
def test_seeds_are_no_images(values: list[list[float]]) -> None:
    """Where every seed is there twice, nothing is known better than before."""
    once = spread_of({(Path("a"), page): seeds for page, seeds in enumerate(values)})
    twice = spread_of({(Path("a"), page): seeds * 2 for page, seeds in enumerate(values)})
    assert once is not None
    assert twice is not None
    assert twice.half_width == pytest.approx(once.half_width, abs=1e-9)
    assert once.count == len(values)


def test_of_one_image_the_seeds_are_counted_and_of_one_value_nothing_is_claimed() -> None:
    several = spread_of({(Path("a"), 0): [1.0, 2.0, 3.0]})
    assert several is not None
    assert several.deviation == 1
    alone = spread_of({(Path("a"), 0): [1.0]})
    assert alone is not None
    assert math.isnan(alone.half_width)
    assert spread_of({}) is None
    assert "±" not in as_markdown(summarise([result("fast", 0, 1, 30.0)]))


@given(
    st.lists(st.tuples(_DECIBELS, st.floats(-3, 3)), min_size=2, max_size=6),
    st.lists(st.floats(-20, 20), min_size=6, max_size=6),
)
def test_what_an_image_is_worth_to_all_methods_is_in_no_difference(
    values: list[tuple[float, float]], harder: list[float]
) -> None:
    def difference(shift: list[float]) -> tuple[float, float]:
        results = [
            result(solver, page, 1, psnr + gained * (solver == "tv") + shift[page])
            for page, (psnr, gained) in enumerate(values)
            for solver in ("fast", "tv")
        ]
        reference, other = summarise(results)
        assert reference.difference is None
        assert other.difference is not None
        return other.difference.mean, other.difference.half_width

    plain, shifted = difference([0.0] * 6), difference(harder)
    assert plain == pytest.approx(shifted, abs=1e-9)
    assert plain[0] == pytest.approx(np.mean([gained for _, gained in values]), abs=1e-9)


def test_a_method_is_compared_on_its_own_problem_and_on_what_both_have() -> None:
    rows = summarise([
        result("fast", 0, 1, 30.0, views="8"), result("fast", 0, 1, 35.0, views="20"),
        result("tv", 0, 1, 28.0, views="8"), result("tv", 0, 1, 32.0, views="20"),
        result("tv", 1, 1, 50.0, views="20"),  # the first row of that problem has no such image
    ])  # fmt: skip
    found = {(row.group.solver, row.group.varied): row.difference for row in rows}
    views_8, views_20 = (("views", "8"),), (("views", "20"),)
    assert found["fast", views_8] is found["fast", views_20] is None
    for views, gained in ((views_8, -2.0), (views_20, -3.0)):
        difference = found["tv", views]
        assert difference is not None
        assert difference.mean == gained
    table = table_of(rows)
    assert table.heads[:4] == ("problem", "solver", "tiling", "views")
    assert {len(cells) for cells in table.cells} == {len(table.heads)}


def test_a_page_has_every_number_and_takes_nothing_for_markup() -> None:
    results = [result("fast", page, 1, 30.0 + page, problem="<b>ct</b>") for page in range(3)]
    page = as_html(summarise(results), title="A & B", question="Which <i>one</i>?", again="padis-gui <x>")
    assert "31.00 ± 2.48" in page
    for raw in ("<b>ct", "<i>one", "<x>", "A & B"):
        assert raw not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "nan" not in page


def test_a_page_of_one_value_and_of_none_is_written() -> None:
    assert "30.00" in as_html(summarise([result("fast", 0, 1, 30.0)]), title="a")
    assert "–" in as_html(summarise([result("fast", 0, 1, math.nan)]), title="a")
