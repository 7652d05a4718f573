"""`padis-gui geometry`: how a scan was measured, and the JSON that says it for files that do not, by hand or imported."""

import argparse
import json
from pathlib import Path

from padis_gui.cli.options import add_settings, given_settings, proposed
from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import InputError, SettingError

_LENGTHS = ("bin_width", "source_distance", "detector_distance", "pixel_size")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    from padis_gui.core.images.image import ReadingSettings

    parser.description = (
        "Say how a scan was measured, as it would be reconstructed: physics, views, detector, axis of rotation, scaling, "
        "and what was done in reading it. Or print what to write into a JSON file beside readings that carry no geometry "
        "(scan.json or scan.tif.geometry.json beside scan.tif)."
    )
    parser.add_argument(
        "scan", nargs="?", type=Path, metavar="SCAN", help="a scan, or an array with its JSON beside it"
    )
    parser.add_argument("--page", type=int, default=0, metavar="N", help="detector row, from 0")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of geometry files")
    parser.add_argument(
        "--example",
        choices=("parallel", "fan", "cone"),
        default=None,
        help="print a geometry file to begin with",
    )
    parser.add_argument(
        "--import",
        dest="imported",
        type=Path,
        metavar="FILE",
        help="print the geometry file for a geometry of TIGRE (a MATLAB structure, JSON, or what it prints) or of CIL "
        "(JSON, what it prints, or its NeXus file)",
    )
    add_settings(parser, ReadingSettings, skip=("role", "crop", "pixel_binning", "longest_side"))


def run(options: argparse.Namespace) -> int:
    """Print what was asked for."""
    from padis_gui.core.files.scans.geometry_file import as_json, examples, schema

    wanted = (options.scan, options.imported, options.example)
    if sum(each is not None for each in wanted) + options.schema != 1:
        raise SettingError("One of SCAN, --schema, --example or --import was wanted; give just one of them.")
    if options.schema:
        say(json.dumps(schema(), indent=2, ensure_ascii=False))
    elif options.imported is not None:
        say("\n".join(_imported(options.imported)))
    elif options.example is not None:
        say(as_json(examples()[options.example]), end="")
    else:
        say("\n".join(_described(options)))
    return 0


def _imported(path: Path) -> list[str]:
    """The text of a geometry file; what else the user should know goes to the standard error."""
    from padis_gui.core.files.scans.geometry_file import as_json
    from padis_gui.core.files.scans.imported import import_geometry

    stated = import_geometry(path)
    say(
        "Projections (views, rows, bins) of line integrals and lengths in mm are assumed; change kind, flat, axes and "
        "length_unit where they are others.",
        error=True,
    )
    if stated.slices == "central row":
        say(
            "The beam is a cone: its central slice is reconstructed as that of a fan beam; all of it by padis-gui volume "
            "--physics ct-cone.",
            error=True,
        )
    return as_json(stated).splitlines()


def _described(options: argparse.Namespace) -> list[str]:
    from padis_gui.core.files.read import read_image
    from padis_gui.core.images.image import ReadingSettings
    from padis_gui.core.physics.problem import scan_settings
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.settings.declarations import make, specs

    reading = make(ReadingSettings, given_settings(options, ReadingSettings))
    image = read_image(options.scan, options.page, reading)
    measured = image.measured
    if measured is None or not measured.physics:
        raise InputError(
            f"A scan was wanted, but {image.name} is an image without a geometry; write one beside it "
            "(padis-gui geometry --example)."
        )
    physics = find_physics(measured.physics)
    settings = scan_settings(measured)
    lines = [f"{image.name}: {physics.label}, detector row {image.page} of {image.pages}"]
    length = "mm" if measured.problem["lengths"] == "mm" else "px"
    for spec in specs(physics.settings_type):
        if (
            spec.name not in measured.problem
            or spec.name in ("lengths", "views")
            or not spec.applies(settings)
        ):
            continue
        value = getattr(settings, spec.name)
        if spec.kind == "numbers":
            value = f"{len(value)}, from {min(value):g} to {max(value):g}"
        elif isinstance(value, float):
            value = f"{value:.6g}"
        unit = length if spec.name in _LENGTHS else spec.unit
        lines.append(f"  {spec.label}: {value} {unit}".rstrip())
    low, high = image.window
    lines.append(f"  Black and white: {low:g} and {high:g} {image.unit}")
    return [*lines, *(f"  {said}" for said in (*measured.notes, *proposed(image)))]
