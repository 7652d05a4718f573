"""The README and the handbook: every command line is one that the program takes, every Python block runs, every setting
has its place, and the README stays short."""

import functools
import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from padis_gui.cli import options as choices
from padis_gui.cli.main import VERBS, parser_of
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS
from padis_gui.core.settings.declarations import make, specs
from padis_gui.core.solvers.registry import SOLVERS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = DOCS / "reference" / "made"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if MADE not in path.parents)]


def blocks(path: Path, *languages: str) -> list[str]:
    """What stands in a page's blocks of code of these languages, also those within a list."""
    found: list[str] = []
    fence, inside = None, False
    for line in path.read_text(encoding="utf-8").splitlines():
        if fence is None:
            fence = re.fullmatch(r"( *)```([^`]*)", line)
            inside = fence is not None and fence[2].strip() in languages
            found += [""] if inside else []
        elif line.strip() == "```":
            fence = None
        elif inside:
            found[-1] += line.removeprefix(fence[1]) + "\n"
    assert fence is None, f"a block of {path.name} has no end"
    return found


def commands() -> Iterator[tuple[Path, str]]:
    """Every line of a shell block that is a command of ours."""
    for path in PAGES:
        for block in blocks(path, "sh", ""):
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"padis-gui [a-z]", line.strip()):
                    yield path, " ".join(line.split())


parser = functools.cache(parser_of)
COMMANDS = list(commands())
# the README's is run as a program of its own, on the bundled image, in test_packaging
EXAMPLES = [(path, block) for path in PAGES[1:] for block in blocks(path, "python")]


def named(cases: list[tuple[Path, str]]) -> list[Any]:
    """Cases under the names of their pages."""
    return [pytest.param(text, id=f"{path.stem}-{number}") for number, (path, text) in enumerate(cases)]


@pytest.fixture(scope="module")
def handbook() -> ModuleType:
    """packaging/handbook.py."""
    spec = importlib.util.spec_from_file_location("handbook", ROOT / "packaging" / "handbook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(handbook: ModuleType) -> dict[str, str]:
    before = list(sys.path)
    pages = handbook.pages()
    sys.path[:] = before
    return pages


# -- the README -------------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readmes_python_has_eight_lines() -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in example.splitlines() if line.strip()]) == 8


def test_the_readmes_table_is_that_of_the_results() -> None:
    """Each number of the README stands in the handbook's table as well: they are measured anew together."""
    rows = [
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    results = (DOCS / "results.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) >= 4
    assert set(rows) <= set(results)


# -- commands and Python ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", named(COMMANDS))
def test_a_command_line_is_one_that_the_program_takes(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options, and the names and values of what is chosen by them."""
    monkeypatch.syspath_prepend(str(ROOT))
    _, verb, *rest = shlex.split(line, comments=True)
    options = parser(verb).parse_args(rest[: rest.index(">")] if ">" in rest else rest)
    if verb not in ("reconstruct", "volume", "generate"):
        return
    preset = PRESETS.find(getattr(options, "preset", None) or DEFAULT_PRESET)
    if hasattr(options, "overrides"):
        choices.chosen_solver(options, preset)
        choices.chosen_tiling(options)
    if hasattr(options, "adapting"):
        choices.chosen_adaptation(options)
    for physics in PHYSICS:
        if physics.name == getattr(options, "physics", None):
            make(physics.settings_type, choices.given_settings(options, physics.settings_type))


def test_every_verb_is_shown() -> None:
    assert {line.split()[1] for _, line in COMMANDS} == set(VERBS)


@pytest.mark.parametrize("code", named(EXAMPLES))
def test_a_python_block_runs(
    code: str, tmp_path: Path, phantom_path: Path, prior_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside files of the names that the handbook uses, on a small image in the place of the bundled one."""
    import padis_gui as pg

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pg, "demo", lambda: pg.open(phantom_path), raising=False)
    (tmp_path / "scan.dcm").write_bytes(phantom_path.read_bytes())  # told by content, not by name
    angle = np.linspace(0, np.pi, 12, endpoint=False)[:, None]
    np.save("sinogram.npy", np.exp(-((np.arange(48) - 24 - 5 * np.cos(angle)) ** 2) / 60).astype(np.float32))
    names: dict[str, Any] = {"pg": pg}
    if "import padis_gui" not in code:  # a fragment
        names |= {"problem": pg.ct(pg.demo(), views=20), "prior": pg.prior(prior_path)}
    exec(compile(code, "handbook", "exec"), names)


# -- the pages that are made ------------------------------------------------------------------------------


def test_every_solver_has_its_formula_source_and_settings(made: dict[str, str]) -> None:
    for solver in SOLVERS:
        page = made["diffusion.md" if solver.diffusion else "classical.md"]
        section = page.partition(f"\n## {solver.label}\n")[2].partition("\n## ")[0]
        assert section.startswith(f"\n`{solver.name}`. {solver.summary} Source: "), solver.name
        assert all(f"| `{spec.name}` |" in section for spec in specs(solver.settings_type)), solver.name


def test_every_source_is_a_link(made: dict[str, str]) -> None:
    for page in (made["diffusion.md"], made["classical.md"], made["physics.md"]):
        assert not re.search(r"(?<!\[)(arXiv|doi) \d", page)


def test_every_physics_preset_tiling_and_verb_has_its_place(made: dict[str, str]) -> None:
    for physics in PHYSICS:
        assert f"\n## {physics.label}\n\n`{physics.name}`" in made["physics.md"]
    assert all(f"\n| `{preset.name}` |" in made["physics.md"] for preset in PRESETS)
    assert all(f"\n| `{tiling.name}` |" in made["tilings.md"] for tiling in TILINGS)
    assert all(f"\n## {verb}\n" in made["commands.md"] for verb in VERBS)


def test_every_settings_class_that_a_user_meets_is_there(made: dict[str, str]) -> None:
    """Every setting that is declared is on a page; networks and conventions of published files are no user's choice."""
    from padis_gui.core.prior.network_settings import EdmNetworkSettings
    from padis_gui.core.settings.declarations import Settings

    for module in (ROOT / "padis_gui" / "core").rglob("*.py"):
        if "setting(" in module.read_text(encoding="utf-8"):
            importlib.import_module(".".join(module.relative_to(ROOT).with_suffix("").parts))

    def below(kind: type[Settings]) -> Iterator[type[Settings]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    text = "\n".join(made.values())
    declared = {
        (spec.name, spec.label)
        for kind in below(Settings)
        if kind.__module__.startswith("padis_gui.core") and not kind.__subclasses__()
        if kind is not EdmNetworkSettings and kind.__module__.rpartition(".")[2] != "prior"
        for spec in specs(kind)
    }
    assert not {name for name, label in declared if f"| `{name}` | {label} |" not in text}


def test_every_public_name_is_in_the_reference() -> None:
    import padis_gui as pg

    reference = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r":: padis_gui\.(\w+)$", reference, re.MULTILINE))
    assert documented == set(pg.__all__) - {"__version__"}


def test_every_page_is_in_the_table_of_contents(made: dict[str, str]) -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([\w/-]+)$", index, re.MULTILINE))
    there = {path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES if DOCS in path.parents} - {
        "index"
    }
    assert listed == there | {f"reference/made/{Path(name).stem}" for name in made}


# -- what leads nowhere -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_and_pictures_lead_to_files(path: Path, made: dict[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for target in targets:
        if not target.startswith("http"):
            there = (path.parent / target).resolve()
            assert there.exists() or (there.parent == MADE and there.name in made), target
