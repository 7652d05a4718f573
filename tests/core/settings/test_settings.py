"""A setting is declared once; a bad value is one sentence with its range and what came."""

from typing import Any

import pytest

from padis_gui.core.physics.pixelwise import InpaintingSettings
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.settings.declarations import GIVEN, NOT_GIVEN, Settings, make, specs
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.diffusion.diffpir import DiffPIRSettings
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.core.training.settings import DataSettings, TrainingSettings

ALL: list[type[Settings]] = [
    ParallelBeamSettings, TilingSettings, TrainingSettings, DataSettings, NetworkSettings, Conventions,
    *(s.settings_type for s in SOLVERS), *(p.settings_type for p in PHYSICS),
]  # fmt: skip


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_every_setting_is_documented_and_round_trips(kind: type[Settings]) -> None:
    for spec in specs(kind):
        assert spec.label
        assert spec.help
        assert spec.range_text in spec.tooltip
        assert spec.minimum is None or spec.maximum is None or spec.minimum < spec.maximum
    settings = kind()
    assert kind.model_validate_json(settings.model_dump_json()) == settings
    assert make(kind, settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_settings_are_frozen(kind: type[Settings]) -> None:
    name = next(iter(kind.model_fields))
    settings = kind()
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_numbers_just_outside_the_range_are_refused(kind: type[Settings]) -> None:
    for spec in specs(kind):
        if spec.kind not in ("int", "float"):
            continue
        for value in ([] if spec.minimum is None else [spec.minimum - 1]) + (
            [] if spec.maximum is None else [spec.maximum + 1]
        ):
            with pytest.raises(SettingError) as caught:
                make(kind, {spec.name: int(value) if spec.kind == "int" else value})
            assert spec.label in str(caught.value)
            assert spec.range_text in str(caught.value)


BAD: list[tuple[type[Settings], dict[str, Any], str]] = [
    (ParallelBeamSettings, {"views": 0}, r"Views must be 1 to 2000, but 0 was given"),
    (ParallelBeamSettings, {"views": "-3"}, r"Views must be 1 to 2000, but '-3' was given"),
    (ParallelBeamSettings, {"views": "abc"}, r"Views must be 1 to 2000, but 'abc' was given"),
    (ParallelBeamSettings, {"views": 2.5}, r"but 2.5 was given"),
    (ParallelBeamSettings, {"noise": float("nan")}, r"Noise must be 0 to 1, but nan was given"),
    (ParallelBeamSettings, {"noise": "inf"}, r"Noise must be 0 to 1, but 'inf' was given"),
    (ParallelBeamSettings, {"bins": 8}, r"Detector bins must be 16 to 16384 px, but 8 was given"),
    (ParallelBeamSettings, {"fbp_filter": "boxcar"}, r"one of ram-lak, hann, but 'boxcar'"),
    (DiffPIRSettings, {"prior_weight": 0}, r"0 to 1000 \(exclusive\), but 0 was given"),
    (DiffPIRSettings, {"jump_start": "perhaps"}, r"Jump start must be on or off, but 'perhaps'"),
    (DiffPIRSettings, {"zeal": 1}, r"'zeal' is not a setting here; known are .*zeta"),
    (TilingSettings, {"strategy": "spiral"}, r"one of .*random, fixed.*, but 'spiral'"),
    (TilingSettings, {"patch": 7}, r"Patch size must be 8 to 4096 px, but 7 was given"),
    (TrainingSettings, {"patch_sizes": (32,)}, r"contradict each other: as many patch probabilities"),
    (TrainingSettings, {"sigma_low": 30.0}, r"lowest noise must lie below the highest"),
    (
        TrainingSettings,
        {"patch_sizes": ["x"]},
        r"Patch sizes must be numbers separated by commas px, but 'x'",
    ),
    (NetworkSettings, {"multipliers": (99.0,)}, r"Channel multipliers must be numbers separated by commas"),
    (Conventions, {"window": (1.0, 1.0)}, r"lower end lies below"),
    (Conventions, {"patch_sizes": ()}, r"patch sizes of 1 to"),
]


@pytest.mark.parametrize(("kind", "values", "message"), BAD)
def test_one_clear_sentence(kind: type[Settings], values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        make(kind, values)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(SettingError) as caught:
        make(ParallelBeamSettings, {"views": "9" * 4000})
    assert len(str(caught.value)) < 300


def test_texts_are_parsed() -> None:
    settings = make(DiffPIRSettings, {"steps": "7", "zeta": "0.5", "jump_start": "true"})
    assert (settings.steps, settings.zeta, settings.jump_start) == (7, 0.5, True)


def test_specs_read_the_declaration() -> None:
    found = {spec.name: spec for spec in specs(ParallelBeamSettings)}
    assert found["views"].kind == "int"
    assert (found["views"].minimum, found["views"].maximum) == (1, 2000)
    assert found["bins"].optional
    assert found["fbp_filter"].choices == ("ram-lak", "hann")
    assert found["noise"].symbol == "σ_y"
    zeta = {spec.name: spec for spec in specs(DiffPIRSettings)}["zeta"]
    assert zeta.live
    assert "ζ" in zeta.tooltip


def test_a_setting_says_when_it_means_something() -> None:
    found = {spec.name: spec for spec in specs(InpaintingSettings)}
    assert found["missing"].applies(InpaintingSettings(mask="pixels"))
    assert not found["missing"].applies(InpaintingSettings(mask="boxes"))
    assert found["pattern"].when_text == "only with Mask boxes or pixels or strokes or blobs"
    assert "Shown only with Mask boxes or pixels or strokes or blobs." in found["pattern"].tooltip
    assert found["mask"].when_text == ""
    assert {s.name: s for s in specs(NetworkSettings)}["slices_out"].when_text == "only with Slices 2 to 9"
    photons = {spec.name: spec for spec in specs(ParallelBeamSettings)}["absorption"]
    assert not photons.applies(ParallelBeamSettings())
    assert photons.applies(ParallelBeamSettings(photons=1e4))


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_conditions_name_settings_and_values_that_exist(kind: type[Settings]) -> None:
    found = {spec.name: spec for spec in specs(kind)}
    for spec in found.values():
        for condition in spec.conditions:
            other = found[condition.name]
            wanted = condition.wanted if isinstance(condition.wanted, tuple) else (condition.wanted,)
            if other.kind == "choice":
                assert set(wanted) <= set(other.choices)
            elif other.kind == "int" and condition.wanted not in (GIVEN, NOT_GIVEN):
                low, high = other.minimum, other.maximum
                assert all((low is None or low <= w) and (high is None or w <= high) for w in wanted)
            else:
                assert condition.wanted in (GIVEN, NOT_GIVEN, True, False)
