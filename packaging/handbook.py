"""Make the handbook: `python packaging/handbook.py` writes the pages that follow from the program, and builds the site.

The pages are those of solvers, physics, tilings, settings and commands: made of the registries, the settings' declarations,
the docstrings and the parsers, so that nothing in them is written twice. They lie in docs/reference/made and the site in
docs/_site, which git does not keep. A warning of Sphinx is an error here. `--pages` stops before the site is built.
"""

import argparse
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MADE = DOCS / "reference" / "made"
SITE = DOCS / "_site"

_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")
_DOI = re.compile(r"doi (10\.\d{4,}/[^\s,;]*[^\s,;.)])")
_ROLE = re.compile(r":[a-z:]+:`~?(?:[\w.]*\.)?(\w+)`")


def main() -> int:
    """Write the pages, and build the site; the exit code is that of Sphinx."""
    parser = argparse.ArgumentParser(description="Make the handbook.")
    parser.add_argument("--pages", action="store_true", help="write the pages only")
    options = parser.parse_args()
    MADE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (MADE / name).write_text(text, encoding="utf-8")
    if options.pages:
        return 0
    # -E: what was made anew is read anew
    build = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", str(DOCS), str(SITE)]
    return subprocess.call(build, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def pages() -> dict[str, str]:
    """The text of every page that follows from the program, by its file's name."""
    sys.path.insert(0, str(ROOT))  # the benchmarks lie beside the package
    from padis_gui.core.solvers.registry import SOLVERS

    return {
        "diffusion.md": _solvers(
            "Diffusion solvers",
            "They walk down noise levels with the prior.",
            (s for s in SOLVERS if s.diffusion),
        ),
        "classical.md": _solvers(
            "Classical solvers",
            "They give an image from the data alone, or use the prior as one denoiser among others.",
            (s for s in SOLVERS if not s.diffusion),
        ),
        "physics.md": _physics(),
        "tilings.md": _tilings(),
        "settings.md": _settings(),
        "commands.md": _commands(),
    }


def _solvers(title: str, introduction: str, solvers: Iterable) -> str:
    """A page of solvers; those of one method stand under one description of it."""
    parts = [
        f"# {title}",
        f"{introduction} In formulas A is the operator scaled to norm 1, y the measurement, D the denoiser, x the noisy "
        "state, s (σ) the noise level and s' the next one. Settings are `--set NAME=VALUE` on the command line and "
        "keywords in Python.",
    ]
    shown: set[str] = set()
    for solver in solvers:
        module = inspect.getmodule(inspect.unwrap(solver.solve))
        parts += [
            f"## {solver.label}",
            f"`{solver.name}`. {solver.summary} Source: {_linked(solver.source)}.",
        ]
        if module.__name__ not in shown:
            shown.add(module.__name__)
            parts.append(_prose(module.__doc__))
        said = inspect.getdoc(solver.solve)
        if said:
            formula = "`" not in said and any(sign in said for sign in ("<-", " = ", "^"))
            parts.append(f"In a line: `{' '.join(said.split())}`" if formula else _prose(said))
        if solver.lower:
            parts.append(f"If it diverges, lower the {solver.lower}.")
        parts.append(_table(solver.settings_type))
    return _page(parts)


def _physics() -> str:
    from padis_gui.core.physics.registry import PHYSICS
    from padis_gui.core.runs.presets import PRESETS

    parts = [
        "# Physics and presets",
        "What can be measured of an image. A setting is `--name` on the command line.",
    ]
    for physics in PHYSICS:
        parts += [
            f"## {physics.label}",
            f"`{physics.name}`. {physics.summary} What is seen first is *{physics.baseline}*. "
            f"Source: {_linked(physics.source)}.",
            _prose(physics.operator.__doc__),
            _table(physics.settings_type),
        ]
    parts += ["## Presets", "A preset is a named method with the image and the prior that belong to it."]
    rows = [
        (f"`{p.name}`", p.label, p.summary, f"`{p.physics}`", f"`{p.solver}`", _values(p.settings))
        for p in PRESETS
    ]
    return _page([*parts, _rows(("preset", "label", "what", "physics", "solver", "its settings"), rows)])


def _tilings() -> str:
    from padis_gui.core.prior.tiling import TILINGS, TilingSettings

    module = inspect.getmodule(TilingSettings)
    assert module is not None
    rows = [(f"`{tiling.name}`", tiling.label, tiling.summary) for tiling in TILINGS]
    parts = ["# Tilings", _prose(module.__doc__), _rows(("tiling", "label", "what"), rows)]
    return _page([*parts, "## Settings", _table(TilingSettings)])


def _settings() -> str:
    from padis_gui.core.exports.registry import ExportSettings
    from padis_gui.core.images.image import ReadingSettings
    from padis_gui.core.prior.network_settings import NetworkSettings
    from padis_gui.core.prior.slices import StackSettings
    from padis_gui.core.solvers.adaptation import AdaptationSettings
    from padis_gui.core.training.looks import SightSettings
    from padis_gui.core.training.settings import DataSettings, TrainingSettings
    from padis_gui.core.volumes.request import VolumeSettings

    sections = (
        ("Reading an image or a scan", ReadingSettings),
        ("Adapting the prior", AdaptationSettings),
        ("Export", ExportSettings),
        ("Volumes", VolumeSettings),
        ("Volumes in one run", StackSettings),
        ("Training", TrainingSettings),
        ("Training: the data", DataSettings),
        ("Training: the network", NetworkSettings),
        ("Training: looks on the way", SightSettings),
    )
    parts = [
        "# Settings",
        "Every setting is declared once; the form in the window, the command line's option, the recipe and this page have "
        "it from there. Those of [solvers](diffusion.md), of the [physics](physics.md) and of [tilings](tilings.md) stand "
        "with them. *Live* ones may be changed while a solver runs.",
    ]
    for title, settings in sections:
        parts += [f"## {title}", _table(settings)]
    return _page(parts)


def _commands() -> str:
    from padis_gui.cli.main import VERBS, parser_of

    parts = [
        "# Commands",
        "`padis-gui` opens the window, `padis-gui FILE` on that file. With a verb it is the command line. Exit codes: 0 "
        "done, 1 the run failed, 2 bad input, 130 interrupted.",
    ]
    os.environ["COLUMNS"] = "100"
    for verb in VERBS:
        parts += [f"## {verb}", f"```text\n{parser_of(verb).format_help().rstrip()}\n```"]
    return _page(parts)


def _table(settings: type) -> str:
    """The declarations of a settings class as a table."""
    from padis_gui.core.settings.declarations import specs

    rows = []
    for spec in specs(settings):
        when = f" {spec.when_text[0].upper()}{spec.when_text[1:]}." if spec.when_text else ""
        live = " *Live.*" if spec.live else ""
        unit = f" {spec.unit}" if spec.unit else ""
        rows.append(
            (
                f"`{spec.name}`",
                spec.label,
                spec.symbol,
                spec.range_text + unit,
                _value(spec.default),
                f"{spec.help}.{when}{live}",
            )
        )
    if not rows:
        return "It has no settings."
    return _rows(("name", "label", "symbol", "range", "default", "what it does"), rows)


def _rows(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _value(value: object) -> str:
    if value is None or value == () or value == "":
        return "automatic" if value is None else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _values(values: dict[str, object]) -> str:
    return ", ".join(f"`{name}={_value(value)}`" for name, value in values.items()) or "the defaults"


def _prose(docstring: str | None) -> str:
    """A docstring as Markdown: roles become code, sources links, and what is indented stays a block of formulas."""
    text = _ROLE.sub(r"`\1`", inspect.cleandoc(docstring or "")).replace("``", "`")
    # a star or an underscore of a formula is no emphasis
    lines = [
        line if line.startswith("    ") else re.sub(r"(?<!`)([*<])", r"\\\1", line)
        for line in text.split("\n")
    ]
    return _linked("\n".join(lines))


def _linked(text: str) -> str:
    """Sources by their number as links."""
    text = _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    return _DOI.sub(r"[doi \1](https://doi.org/\1)", text)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    sys.exit(main())
