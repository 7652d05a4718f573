"""What two recipes have otherwise is named, all of it and nothing else; as a list and as a sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.differences import differences, differing, what_differs
from padis_gui.core.runs.recipe import Change, DataReference, PriorReference, Recipe, StackReference
from padis_gui.core.settings.declarations import Settings, SettingSpec, specs
from padis_gui.core.solvers.registry import SOLVERS
from tests.core.exports.test_write import recipe


def _values(spec: SettingSpec) -> st.SearchStrategy[Any]:
    """Plain values as a recipe's JSON may hold them for a setting; they need not get on with the others."""
    low, high = spec.minimum, spec.maximum
    known: st.SearchStrategy[Any]
    if spec.kind == "choice":
        known = st.sampled_from(spec.choices)
    elif spec.kind == "bool":
        known = st.booleans()
    elif spec.kind == "int":
        known = st.integers(int(low or 1), int(high or 10_000))
    elif spec.kind == "float":
        known = st.floats(low or 0.001, high or 1e4, allow_nan=False)
    elif spec.kind == "numbers":
        known = st.lists(st.floats(0, 500, allow_nan=False), max_size=30)
    else:
        known = st.sampled_from(["one", "two", "a much longer text that has no end " * 4])
    return st.none() | known if spec.optional else known


def _settings(settings_type: type[Settings]) -> st.SearchStrategy[dict[str, Any]]:
    plain = settings_type().model_dump(mode="json")
    return st.fixed_dictionaries(
        {spec.name: st.just(plain[spec.name]) | _values(spec) for spec in specs(settings_type)}
    )


_of_scan = {spec.name: spec for spec in specs(ReadingSettings) if spec.kind != "text"}


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes of all kinds, whether or not they could be run."""
    physics, solver = draw(st.sampled_from(PHYSICS)), draw(st.sampled_from(SOLVERS))
    names, sums = (
        st.sampled_from(["/a/x.tif", "/b/x.tif", "C:\\x.tif", ""]),
        st.sampled_from(["", "ab" * 32, "cd" * 32]),
    )
    data = st.builds(
        DataReference, file=names, sha256=sums, page=st.integers(0, 3), unit=st.sampled_from(["", "HU"]),
        window=st.sampled_from([(0.0, 1.0), (-1000.0, 1000.0)]),
        reading=st.builds(ReadingSettings, binning=st.integers(1, 4), take_views=st.none() | st.integers(1, 9)),
    )  # fmt: skip
    tiling = st.builds(
        TilingSettings, strategy=st.sampled_from(["auto", "fixed"]), patch=st.sampled_from([None, 16, 32])
    )
    stacks = st.builds(
        StackReference, pages=st.sampled_from([(0,), (0, 1, 2)]),
        settings=st.builds(StackSettings, slices_together=st.integers(1, 3)),
        across=st.none() | st.builds(PriorReference, file=names, sha256=sums),
    )  # fmt: skip
    changes = st.builds(Change, step=st.integers(1, 4), tiling=st.none() | tiling)
    return recipe(
        data=draw(st.none() | data), physics=physics.name, problem=draw(_settings(physics.settings_type)),
        prior=draw(st.builds(PriorReference, file=names, sha256=sums, image_size=st.sampled_from([None, 256]),
                             positions=st.booleans())),
        tiling=draw(tiling), solver=solver.name, settings=draw(_settings(solver.settings_type)),
        files=draw(st.dictionaries(names, sums, max_size=2)), seed=draw(st.integers(0, 3)),
        measurement_seed=draw(st.none() | st.integers(0, 3)),
        sample_seeds=tuple(draw(st.lists(st.integers(0, 9), max_size=3))),
        changes=tuple(draw(st.lists(changes, max_size=2))), stop_after=draw(st.none() | st.integers(1, 4)),
        stack=draw(st.none() | stacks), paired=draw(st.booleans()), device=draw(st.sampled_from(["cpu", "cuda:0"])),
        precision=draw(st.sampled_from(["float32", "bfloat16"])), threads=draw(st.integers(1, 3)),
        versions=draw(st.dictionaries(st.sampled_from(["torch", "python", "machine"]), st.sampled_from(["1", "2"]))),
    )  # fmt: skip


# what each field is called where it differs; settings are called by their labels
_NAMED = {
    "physics": "measurement", "solver": "method", "seed": "seed", "measurement_seed": "seed of the measurement",
    "sample_seeds": "seeds of its samples", "stop_after": "steps done", "paired": "noise shared in a pair",
    "device": "device", "precision": "precision", "threads": "number of threads",
}  # fmt: skip


@given(recipes(), recipes())
def test_every_changed_field_is_named_and_no_other(one: Recipe, other: Recipe) -> None:
    found = differing(one, other)
    names = [each.name for each in found]
    assert len(names) == len(set(names)), "each is said once"
    for each in found:
        assert each.name
        assert each.first != each.second
        assert each.first in what_differs("A", one, "B", other)
    for field, name in _NAMED.items():
        assert (name in names) == (getattr(one, field) != getattr(other, field)), field
    pages = [() if made.stack is None else made.stack.pages for made in (one, other)]
    assert ("slices in one run" in names) == (pages[0] != pages[1])
    for which, find in (("settings", SOLVERS.find), ("problem", PHYSICS.find)):
        types = [find(r.solver if which == "settings" else r.physics).settings_type for r in (one, other)]
        shared = {s.name: s for s in specs(types[1]) if s.kind != "file" and s.name in types[0].model_fields}
        for setting, spec in shared.items():
            if getattr(one, which)[setting] != getattr(other, which)[setting]:
                label = spec.label[1:]  # its first letter is small in a sentence
                assert any(label in name for name in names), setting


def test_two_settings_of_one_label_are_told_apart_by_what_they_belong_to():
    angles, starts = ({"start": 0.0}, {"start": 3.0}), ({"start": "noise"}, {"start": "baseline"})
    one, other = (
        recipe(physics="ct-parallel", problem=problem, solver="padis-dps", settings=settings)
        for problem, settings in zip(angles, starts, strict=True)
    )
    assert {each.name for each in differing(one, other)} == {
        "start of the measurement",
        "start of the method",
    }


@given(recipes())
def test_a_recipe_differs_in_nothing_from_itself(made: Recipe) -> None:
    again = Recipe.model_validate_json(made.model_dump_json())
    assert differing(made, again) == ()
    assert what_differs("A", made, "B", again) == "A and B have the same recipe."


@given(recipes(), recipes())
def test_it_is_the_same_from_the_other_side(one: Recipe, other: Recipe) -> None:
    there = {(each.first, each.second) for each in differing(one, other)}
    back = {(each.second, each.first) for each in differing(other, one)}
    assert there == back or one.solver != other.solver or one.physics != other.physics


def test_the_sentence_has_labels_letters_and_units() -> None:
    first = recipe(solver="fast", settings={"steps": 18}, tiling=TilingSettings(patch=32))
    second = first.model_copy(
        update={
            "settings": {"steps": 40, "relaxation": 1.0},
            "seed": 5,
            "tiling": TilingSettings(patch=16, strategy="fixed"),
        }
    )
    assert what_differs("Run 3", first, "Run 4", second) == (
        "Run 4 has tiling fixed (Run 3: auto), patch size P 16 px (32 px), steps n 40 (18) and seed 5 "
        f"({first.seed})."
    )


def test_a_run_that_was_finished_early_says_how_many_steps_it_did() -> None:
    whole = recipe()
    early = whole.model_copy(update={"stop_after": 14})
    assert what_differs("Run 1", whole, "Run 2", early) == "Run 2 has steps done 14 (Run 1: all)."


def test_a_setting_that_an_older_recipe_does_not_name_has_its_default() -> None:
    whole = recipe()
    older = whole.model_copy(update={"settings": {"eta": 0.85}})
    assert differing(older, whole) == ()


def test_live_changes_are_told_by_what_they_changed() -> None:
    made = recipe()
    steered = made.model_copy(
        update={
            "changes": (
                Change(step=3, settings=made.settings | {"eta": 0.5}),
                Change(step=4, tiling=TilingSettings()),
            )
        }
    )
    (found,) = differing(made, steered)
    assert (found.name, found.first) == ("live changes", "none")
    assert found.second == "stochasticity η 0.5 after step 3; patch size P automatic after step 4"


@pytest.mark.parametrize("digits", [1e-9, 1e-13])
def test_numbers_that_look_alike_are_told_apart(digits: float) -> None:
    made = recipe()
    (found,) = differing(made, made.model_copy(update={"settings": made.settings | {"eta": 0.85 + digits}}))
    assert found.first != found.second


def test_as_a_list_each_says_what_it_was_and_is() -> None:
    made = recipe()
    other = made.model_copy(update={"device": "cuda:0", "versions": {"torch": "3"}})
    assert differences(made, other) == (
        "the device (was cpu, is cuda:0)", "the version of torch (was 2, is 3)",
    )  # fmt: skip
