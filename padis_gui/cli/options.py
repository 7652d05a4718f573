"""Options made from declared settings, so that a setting is written once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.core.settings.declarations import Settings, SettingSpec, make, specs
from padis_gui.core.settings.errors import SettingError

if TYPE_CHECKING:
    from padis_gui.core.images.image import Image
    from padis_gui.core.physics.registry import Physics
    from padis_gui.core.physics.settings import PhysicsSettings
    from padis_gui.core.prior.prior import PatchPrior
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.runs.method import Method
    from padis_gui.core.runs.presets import Preset
    from padis_gui.core.solvers.adaptation import AdaptationSettings
    from padis_gui.core.solvers.registry import Solver


def chosen_window(text: str) -> tuple[float, float]:
    """What is given as LOW,HIGH; raises :class:`SettingError` for anything else."""
    try:
        low, high = (float(v) for v in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise SettingError(
            f"A window LOW,HIGH with LOW < HIGH was wanted, but {text!r} was given; write -1000,1000."
        )
    return low, high


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
    parser: argparse._ActionsContainer, settings_type: type[Settings], skip: tuple[str, ...] = ()
) -> None:
    """One option for each setting; left out, it keeps the default. Values are checked by the settings."""
    for spec in specs(settings_type):
        if spec.name not in skip:
            _add_setting(parser, spec, _help(spec))


def _add_setting(parser: argparse._ActionsContainer, spec: SettingSpec, help_text: str) -> None:
    parser.add_argument(
        "--" + spec.name.replace("_", "-"), dest=spec.name, default=None,
        metavar=spec.symbol or spec.name.upper(), help=help_text.replace("%", "%%"),
    )  # fmt: skip


def _help(spec: SettingSpec) -> str:
    condition = f"{spec.when_text}; " if spec.when_text else ""
    return f"{spec.help} ({condition}default: {spec.default})"


def given_settings(options: argparse.Namespace, settings_type: type[Settings]) -> dict[str, Any]:
    """The settings that were given on the command line, as texts for the settings class to parse."""
    found: dict[str, Any] = {}
    for spec in specs(settings_type):
        value = getattr(options, spec.name, None)
        if value is not None:
            found[spec.name] = [v.strip() for v in value.split(",")] if spec.kind == "numbers" else value
    return found


def proposed(image: "Image") -> list[str]:
    """The corrections that a scan asks for and that were not given, as options and why."""
    if image.measured is None:
        return []
    found = []
    for proposal in image.measured.proposals:
        value = proposal.value
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        found.append(f"Proposed: --{proposal.name.replace('_', '-')} {text} ({proposal.found}).")
    return found


def add_preset(parser: argparse.ArgumentParser) -> None:
    """`--preset`, of which a scan takes the solver only."""
    from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS

    parser.add_argument(
        "--preset", default=None, metavar="NAME",
        help=f"one of {PRESETS.listed} (default: {DEFAULT_PRESET}); a solver's settings are those of the one nearest to "
        "the problem",
    )  # fmt: skip


def add_problem(parser: argparse.ArgumentParser) -> None:
    """`--physics` and the settings of every physics; which of them may be given depends on the physics chosen."""
    from padis_gui.core.physics.registry import PHYSICS

    parser.add_argument("--physics", default=None, metavar="NAME", help=f"one of {PHYSICS.listed}")
    declared: dict[str, list[tuple[str, SettingSpec]]] = {}
    for physics in PHYSICS:
        for spec in specs(physics.settings_type):
            declared.setdefault(spec.name, []).append((physics.name, spec))
    for found in declared.values():
        texts: dict[str, list[str]] = {}
        for name, spec in found:
            texts.setdefault(_help(spec), []).append(name)
        said = [f"{', '.join(names)}: {text}" for text, names in texts.items()] if len(texts) > 1 else texts
        _add_setting(parser, found[0][1], "; ".join(said))


def chosen_problem(options: argparse.Namespace, preset: "Preset") -> "tuple[str, PhysicsSettings]":
    """The physics and its settings: the preset's, changed by what was given.

    Raises :class:`SettingError` for a setting of another physics.
    """
    from padis_gui.core.physics.registry import find_physics

    physics = find_physics(options.physics or preset.physics)
    return physics.name, preset.problem_settings(physics.name, _given_for(options, physics))


def _given_for(options: argparse.Namespace, physics: "Physics") -> dict[str, Any]:
    """The settings of a physics that were given; raises :class:`SettingError` for those of others."""
    from padis_gui.core.physics.registry import PHYSICS

    given = given_problem(options)
    for name in given:
        if name not in physics.settings_type.model_fields:
            owners = [p.name for p in PHYSICS if name in p.settings_type.model_fields]
            listed = " and ".join(filter(None, (", ".join(owners[:-1]), owners[-1])))
            raise SettingError(
                f"A setting of {physics.name} was wanted, but --{name.replace('_', '-')} belongs to "
                f"{listed}; leave it out or choose --physics {owners[0]}."
            )
    return given


def given_problem(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of any physics that were given."""
    from padis_gui.core.physics.registry import PHYSICS

    return {name: value for p in PHYSICS for name, value in given_settings(options, p.settings_type).items()}


def given_inputs(options: argparse.Namespace) -> list[Path]:
    """The files that the options name to be read: data, priors, and those of the problem's settings."""
    from padis_gui.core.physics.registry import PHYSICS

    named = (
        getattr(options, name, None) for name in ("input", "data", "file", "source", "prior", "start_from")
    )
    found = [path for each in named for path in (each if isinstance(each, list) else [each])]
    files = {spec.name for p in PHYSICS for spec in specs(p.settings_type) if spec.kind == "file"}
    return [Path(path) for path in [*found, *(getattr(options, name, None) for name in files)] if path]


def add_events(parser: argparse.ArgumentParser) -> None:
    """`--events`, for a program that starts a long verb and follows it."""
    parser.add_argument(
        "--events", action="store_true",
        help="write every event as a line of JSON instead of a progress bar, and obey the words pause, resume and "
        "stop on standard input",
    )  # fmt: skip


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and how precisely the network computes."""
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")


def add_run(parser: argparse.ArgumentParser) -> None:
    """What every single run has: prior, solver and its settings, tiling, seed and device."""
    from padis_gui.core.prior.tiling import TILINGS, TilingSettings
    from padis_gui.core.solvers.registry import SOLVERS

    parser.add_argument(
        "--prior",
        type=Path,
        default=None,
        metavar="FILE",
        help="a prior (default: the bundled one for this physics)",
    )
    add_training_image_size(parser)
    parser.add_argument("--solver", default=None, metavar="NAME", help=f"one of {SOLVERS.listed}")
    parser.add_argument("--steps", default=None, metavar="N", help="noise levels of the solver")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="any other setting of the solver, such as --set zeta=0.8; repeatable",
    )  # fmt: skip
    add_settings(parser, TilingSettings, skip=("strategy",))
    parser.add_argument("--tiling", default=None, metavar="NAME", help=f"one of {TILINGS.listed}")
    parser.add_argument(
        "--seed", type=int, default=None, metavar="N", help="default: drawn, and written down"
    )
    add_device(parser)


def add_adaptation(parser: argparse.ArgumentParser) -> None:
    """`--adapt` and its settings."""
    from padis_gui.core.solvers.adaptation import AdaptationSettings

    parser.add_argument(
        "--adapt", action="store_true",
        help="adapt the prior to this measurement before the run; the file of the prior stays as it is",
    )  # fmt: skip
    names = ", ".join(f"{spec.name} ({spec.default})" for spec in specs(AdaptationSettings))
    parser.add_argument(
        "--adapt-set", action="append", default=[], metavar="NAME=VALUE", dest="adapting",
        help=f"a setting of --adapt, which it implies; repeatable: {names}",
    )  # fmt: skip


def chosen_adaptation(options: argparse.Namespace) -> "AdaptationSettings | None":
    """How the prior is adapted, None where it is not."""
    from padis_gui.core.solvers.adaptation import AdaptationSettings

    wanted = options.adapt or options.adapting
    return make(AdaptationSettings, overrides(options.adapting)) if wanted else None


def overrides(texts: list[str]) -> dict[str, str]:
    """NAME=VALUE texts as a dictionary; raises :class:`SettingError` for others."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not (name and equals):
            raise SettingError(
                f"A setting NAME=VALUE was wanted, but {text!r} was given; write --set zeta=0.8."
            )
    return {name.strip().replace("-", "_"): value.strip() for name, _, value in pairs}


def chosen_solver(options: argparse.Namespace, preset: "Preset") -> "tuple[Solver, Settings]":
    """The solver and its settings: the preset's, changed by what was given."""
    from padis_gui.core.solvers.registry import find_solver

    solver = find_solver(options.solver or preset.solver)
    steps = {} if options.steps is None else {"steps": options.steps}
    return solver, preset.solver_settings(solver.name, steps | overrides(options.overrides))


def chosen_method(options: argparse.Namespace, preset: "Preset", image: "Image") -> "Method":
    """The method for an image or a scan: the preset's, changed by what was given.

    A scan brings its own physics and geometry. Raises :class:`SettingError` for settings that do not belong together.
    """
    from padis_gui.core.physics.problem import scan_settings
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.runs.method import Method

    scan = image.measured if image.is_scan else None
    physics = find_physics(options.physics or (preset.physics if scan is None else scan.physics))
    given = _given_for(options, physics)
    if scan is not None:
        problem = scan_settings(scan, physics=physics.name, given=given)
    elif physics.imageless:
        raise SettingError(
            f"A measurement of {image.name} was wanted, but {physics.name} needs no image; use padis-gui generate."
        )
    else:
        problem = preset.problem_settings(physics.name, given)
    solver, settings = chosen_solver(options, preset.tuned_for(physics.name, problem, scan=scan is not None))
    return Method(
        physics=physics.name, problem=problem, tiling=chosen_tiling(options), solver=solver.name, settings=settings,
        adaptation=chosen_adaptation(options),
    )  # fmt: skip


def chosen_tiling(options: argparse.Namespace) -> "TilingSettings":
    """The tiling, changed by what was given."""
    from padis_gui.core.prior.tiling import TilingSettings

    strategy = {} if options.tiling is None else {"strategy": options.tiling}
    return make(TilingSettings, strategy | given_settings(options, TilingSettings))


def open_prior(options: argparse.Namespace, path: Path) -> "PatchPrior":
    """The prior in ``path`` on the device asked for; torch gets every core."""
    from padis_gui.core.prior.checkpoint import is_snapshot, load_prior, read_record
    from padis_gui.core.settings.machine import pick_device, precision_on, use_all_threads

    if not is_snapshot(path):
        read_record(path)  # refuses what is no prior before torch is asked for anything
    device = pick_device(options.device)
    use_all_threads()
    precision = precision_on(device, options.precision)
    return load_prior(path, device, precision, options.training_image_size)
