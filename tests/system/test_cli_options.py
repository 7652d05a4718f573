"""Options made from declared settings: the help of each is right for every physics that has it."""

import argparse

import pytest

from padis_gui.cli.options import add_problem, chosen_problem
from padis_gui.core.physics.registry import PHYSICS, Physics
from padis_gui.core.runs.presets import find_preset
from padis_gui.core.settings.declarations import specs
from padis_gui.core.settings.errors import SettingError


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_problem(made)
    return made


@pytest.mark.parametrize("physics", PHYSICS, ids=lambda p: p.name)
def test_help_is_right_for_every_physics(parser: argparse.ArgumentParser, physics: Physics) -> None:
    """Where several physics share a name, each one's own words, condition and default stand behind its name."""
    helps = {action.dest: action.help.replace("%%", "%") for action in parser._actions}
    for spec in specs(physics.settings_type):
        own = f"{spec.help} ({spec.when_text + '; ' if spec.when_text else ''}default: {spec.default})"
        assert own in helps[spec.name]
        before = helps[spec.name].partition(own)[0]
        if before or helps[spec.name] != own:
            named = before.rpartition("; ")[2]
            assert physics.name in named.removesuffix(": ").split(", ")


def test_help_differs_where_physics_do(parser: argparse.ArgumentParser) -> None:
    helps = {action.dest: action.help for action in parser._actions}
    assert "ct-fan, ct-cone: " in helps["arc"]
    assert "denoising: " in helps["noise"]
    assert "ct-parallel" not in helps["bins"]  # the same for both


def test_a_setting_of_other_physics_names_them(parser: argparse.ArgumentParser) -> None:
    options = parser.parse_args(["--views", "7"])
    with pytest.raises(SettingError, match="--views belongs to ct-parallel, ct-fan and ct-cone;"):
        chosen_problem(options, find_preset("deblur"))
    assert chosen_problem(options, find_preset("ct-8"))[1].views == 7
