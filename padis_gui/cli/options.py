"""Options made from declared settings, so that a setting is written once."""

import argparse
from typing import TYPE_CHECKING, Any

from padis_gui.core.errors import SettingError
from padis_gui.core.settings import Settings, make, specs

if TYPE_CHECKING:
    from padis_gui.core.operators.settings import PhysicsSettings
    from padis_gui.core.resources import Preset


def add_training_image_size(parser: argparse.ArgumentParser) -> None:
    """The option that tells what a published snapshot may leave open."""
    parser.add_argument(
        "--training-image-size",
        type=int,
        default=None,
        metavar="N",
        help="side in px of the images that a published snapshot was trained on, without padding "
        "(default: what the file says, else 256)",
    )


def add_settings(
    parser: argparse.ArgumentParser, settings_type: type[Settings], skip: tuple[str, ...] = ()
) -> None:
    """One option for each setting; left out, it keeps the default. Values are checked by the settings."""
    for spec in specs(settings_type):
        if spec.name in skip:
            continue
        parser.add_argument(
            "--" + spec.name.replace("_", "-"),
            dest=spec.name,
            default=None,
            metavar=spec.symbol or spec.name.upper(),
            help=f"{spec.help} (default: {spec.default})".replace("%", "%%"),
        )


def given_settings(options: argparse.Namespace, settings_type: type[Settings]) -> dict[str, Any]:
    """The settings that were given on the command line, as texts for the settings class to parse."""
    found: dict[str, Any] = {}
    for spec in specs(settings_type):
        value = getattr(options, spec.name, None)
        if value is not None:
            found[spec.name] = [v.strip() for v in value.split(",")] if spec.kind == "numbers" else value
    return found


def add_problem(parser: argparse.ArgumentParser) -> None:
    """`--physics` and the settings of every physics; which of them may be given depends on the physics chosen."""
    from padis_gui.core.operators import PHYSICS

    parser.add_argument(
        "--physics", default=None, metavar="NAME", help=f"one of {', '.join(p.name for p in PHYSICS)}"
    )
    added: set[str] = set()
    for physics in PHYSICS:
        add_settings(parser, physics.settings_type, skip=tuple(added))
        added |= {spec.name for spec in specs(physics.settings_type)}


def chosen_problem(options: argparse.Namespace, preset: "Preset") -> "tuple[str, PhysicsSettings]":
    """The physics and its settings: the preset's, changed by what was given.

    Raises :class:`SettingError` for a setting of another physics.
    """
    from padis_gui.core.operators import PHYSICS, find_physics

    physics = find_physics(options.physics or preset.physics)
    known = {spec.name for spec in specs(physics.settings_type)}
    for other in PHYSICS:
        for name in given_settings(options, other.settings_type):
            if name not in known:
                raise SettingError(
                    f"A setting of {physics.name} was wanted, but --{name.replace('_', '-')} belongs to "
                    f"{other.name}; leave it out or choose --physics {other.name}."
                )
    values = dict(preset.problem) if physics.name == preset.physics else {}
    return physics.name, make(physics.settings_type, values | given_settings(options, physics.settings_type))
