"""Options made from declared settings, so that a setting is written once."""

import argparse
from typing import Any

from padis_gui.core.settings import Settings, specs


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
            listed = spec.kind == "text" and isinstance(spec.default, tuple)
            found[spec.name] = [v.strip() for v in value.split(",")] if listed else value
    return found
