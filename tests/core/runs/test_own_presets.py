"""The user's own presets: what is saved comes back, and a file of anybody's is data."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.runs.presets import PRESETS, find_preset, own_presets, presets_folder, save_preset
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.registry import SOLVERS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("padis_gui.core.runs.presets.user_files", lambda: tmp_path)
    return tmp_path


def save(name: str, physics: str = "denoising", solver: str = "tv") -> None:
    problem, settings = PHYSICS.find(physics).settings_type(), SOLVERS.find(solver).settings_type()
    save_preset(name, "a summary", physics, problem, solver, settings)


@pytest.mark.parametrize("solver", SOLVERS.names)
@pytest.mark.parametrize("physics", PHYSICS.names)
def test_what_is_saved_comes_back_whatever_the_problem_is_then(physics: str, solver: str) -> None:
    problem, settings = PHYSICS.find(physics).settings_type(), SOLVERS.find(solver).settings_type()
    save("mine", physics, solver)
    preset = find_preset("mine")
    assert (preset.physics, preset.solver, preset.summary) == (physics, solver, "a summary")
    assert preset.problem_settings() == problem
    assert preset.solver_settings() == settings
    for other in PHYSICS:  # it is what was saved, not what is nearest to the problem
        assert preset.tuned_for(other.name, other.settings_type(), scan=True) is preset
    assert [each.name for each in own_presets()] == ["mine"]


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "../x", "-a", "a" * 61, "a.json", "é", "a\n", *PRESETS.names]
)
def test_a_name_that_none_can_have_is_refused(name: str) -> None:
    with pytest.raises(SettingError) as refused:
        save(name)
    assert "\n" not in str(refused.value)
    assert not presets_folder().exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8,
)  # fmt: skip
FIELDS = ("format", "version", "name", "summary", "physics", "problem", "solver", "settings")


@given(st.dictionaries(st.sampled_from([*FIELDS, "more"]), JSON, max_size=9))
def test_a_file_of_a_stranger_is_a_preset_or_is_passed_over(changes: dict) -> None:
    good = {
        "format": "padis-gui preset", "version": 1, "name": "mine", "physics": "denoising", "problem": {}, "solver": "tv",
        "settings": {},
    }  # fmt: skip
    presets_folder().mkdir(exist_ok=True)
    (presets_folder() / "x.json").write_text(json.dumps(good | changes))
    for preset in own_presets():
        assert preset.name not in PRESETS.names
        preset.problem_settings()
        preset.solver_settings()
        assert preset.summary.isprintable()


@pytest.mark.parametrize("text", ["", "{", "[" * 10_000, '{"name": ', "\x00", '{"a": 1e999}'])
def test_a_damaged_one_costs_only_itself(text: str, caplog: pytest.LogCaptureFixture) -> None:
    save_preset(
        "mine",
        "",
        "denoising",
        PHYSICS.find("denoising").settings_type(),
        "tv",
        SOLVERS.find("tv").settings_type(),
    )
    (presets_folder() / "a.json").write_text(text)
    assert [each.name for each in own_presets()] == ["mine"]
    assert "a.json" in caplog.text
