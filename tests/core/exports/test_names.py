"""File names by a pattern: fields are looked up and nothing is executed; clashes and bad characters are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.exports.names import check_free, names_by
from padis_gui.core.settings.errors import InputError, SettingError

RUNS = [{"name": "Run 1", "seed": "4", "data": "a/b:c"}, {"name": "Run 2", "seed": "4", "data": "x."}]


def test_fields_stand_for_what_is_known_of_each_run() -> None:
    assert names_by("{data}-{name} of {seed}", RUNS, ".tif") == ("a_b_c-Run 1 of 4.tif", "x.-Run 2 of 4.tif")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{name.__class__}", "{name.__class__} is not a field"), ("{name!r}", "is not a field"), ("{0}", "is not a field"),
        ("{name:>9}", "is not a field"), ("{}", "is not a field"), ("{name[0]}", "is not a field"),
        ("{name", "braces"), ("name}", "braces"), ("{{name}}", "braces"), ("a/{name}", "'/'"), ("..\\{name}", r"'\\\\'"),
        ("{name}\n", "cannot have"), ("{seed}", "runs 1 and 2 would both be 4.tif"), ("", "gives none"),
        (" . ", "gives none"),
        ("{name}" + "é" * 120, "at most 200 bytes"), ("con.{name}", "device"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(pattern: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        names_by(pattern, RUNS, ".tif")
    assert said.replace(r"\\\\", r"\\") in str(error.value)


def test_names_that_differ_in_capitals_or_accents_only_clash() -> None:
    for one, other in (("Run", "RUN"), ("é", "e\u0301")):
        with pytest.raises(SettingError, match="both"):
            names_by("{name}", [{"name": one}, {"name": other}], ".tif")
        with pytest.raises(InputError, match="written over in /out"):
            check_free([f"{one}.tif"], [f"{other}.tif", "more"], "/out")
    check_free(["a.tif"], ["b.tif"], "/out")


@given(st.text(max_size=30), st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_whatever_is_asked_for_gives_names_for_one_folder_or_a_sentence(
    pattern: str, values: list[str]
) -> None:
    runs = [{"name": value, "number": str(at)} for at, value in enumerate(values)]
    try:
        names = names_by(pattern + "{number}", runs, ".tif")
    except SettingError:
        return
    assert len(set(names)) == len(runs)
    for name in names:
        assert not set(name) & set('<>:"/\\|?*\0\n')
        assert name not in (".tif", "..tif")
