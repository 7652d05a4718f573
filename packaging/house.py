"""How the package is laid out, counted and held to limits: `python packaging/house.py`.

Prints the number of files and lines, what is seen on entering each layer, circles of imports and imports that go up;
the exit code is 1 where a limit is passed. Imports are read, not run: those within functions count, those for type
checkers alone do not, since nothing runs in a circle because of them; they are counted beside.
"""

import ast
import statistics
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "padis_gui"
LIMITS = {
    "files": 300,
    "lines": 67_800,  # 44 400 when the house was built; more only for what the program newly does
    "names seen in padis_gui/core": 12,
    "names seen in padis_gui/viewmodels": 8,
    "names seen in padis_gui/gui": 9,
    "circles between files": 0,
    "circles between folders": 0,
    "imports that go up": 0,
}
LAYERS = ("core", "api", "viewmodels", "gui", "cli", "__main__")  # from the lowest
STOREYS = ("core", "viewmodels", "gui")
CORE_ONLY = "cli"  # imports nothing between itself and the core

Edges = dict[str, set[str]]


def modules(package: Path) -> dict[str, Path]:
    """Every module by its dotted name; a package by its own name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST, *, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a module wherever they stand: those under `if TYPE_CHECKING` only where ``types`` says so."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body if types else ():
                yield from imports(ast.Module([child], []), types=types)
            for child in node.orelse:
                yield from imports(ast.Module([child], []), types=types)
        else:
            yield from imports(node, types=types)


def import_graph(found: dict[str, Path], *, types: bool = False) -> Edges:
    """Which module imports which, itself and the package's own front door left out (its version, its public names)."""
    edges: Edges = {name: set() for name in found}
    for name, path in found.items():
        for node in imports(ast.parse(path.read_text(encoding="utf-8")), types=types):
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            else:
                # a name of a package may be a module in it, or something that its __init__ has
                wanted = [f"{node.module}.{alias.name}" for alias in node.names]
                wanted = [each if each in found else str(node.module) for each in wanted]
            edges[name] |= {each for each in wanted if each in found and each != name and "." in each}
    return {name: targets for name, targets in edges.items() if "." in name}


def circles(edges: Edges) -> list[list[str]]:
    """Groups whose members reach each other (strongly connected components of more than one), each sorted."""
    reach = {name: _reached(edges, name) for name in edges}
    groups = {
        tuple(sorted({name, *(other for other in reach[name] if name in reach.get(other, ()))}))
        for name in edges
        if name in reach[name]
    }
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _reached(edges: Edges, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def folder_circles(edges: Edges) -> list[str]:
    """In each folder: circles between what lies in it, with the imports within, where one of them is a folder itself."""
    below: dict[str, Edges] = defaultdict(lambda: defaultdict(set))
    made_of: dict[tuple[str, str], int] = defaultdict(int)
    for name, targets in edges.items():
        for target in targets:
            one, other = name.split("."), target.split(".")
            depth = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
            if depth is not None:  # else one of them is the other's package
                pair = ".".join(one[: depth + 1]), ".".join(other[: depth + 1])
                below[".".join(one[:depth])][pair[0]].add(pair[1])
                made_of[pair] += 1
    folders = {".".join(name.split(".")[:i]) for name in edges for i in range(1, name.count(".") + 1)}
    groups = [group for each in below.values() for group in circles(each) if folders & set(group)]
    return [" <-> ".join(group) + _within(group, made_of) for group in groups]


def _within(group: list[str], made_of: dict[tuple[str, str], int]) -> str:
    """The imports that make a circle, the fewest first: those are the ones to turn."""
    pairs = sorted((count, *pair) for pair, count in made_of.items() if set(pair) <= set(group))
    words = (f"{one.split('.')[-1]} -> {other.split('.')[-1]} {count}" for count, one, other in pairs)
    return f": {', '.join(words)}"


def going_up(edges: Edges) -> list[str]:
    """Imports of a higher layer by a lower one, and of anything but the core by the command line."""

    def layer(name: str) -> str:
        return name.split(".")[1]

    found = []
    for name, targets in sorted(edges.items()):
        for target in sorted(targets):
            up = LAYERS.index(layer(target)) > LAYERS.index(layer(name))
            past_core = layer(name) == CORE_ONLY and layer(target) not in (CORE_ONLY, "core")
            if up or past_core:
                found.append(f"{name} imports {target}")
    return found


def names_seen(folder: Path) -> list[str]:
    """What a reader sees on entering a folder: modules and packages, the front door left out."""
    return sorted(
        path.stem
        for path in folder.iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    )


def main(package: Path = PACKAGE) -> int:
    """Count, print, and compare with the limits."""
    found = modules(package)
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in found.values()]
    edges = import_graph(found)
    lists = {
        **{f"names seen in {package.name}/{name}": names_seen(package / name) for name in STOREYS},
        "circles between files": [" <-> ".join(group) for group in circles(edges)],
        "circles between folders": folder_circles(edges),
        "imports that go up": going_up(edges),
    }
    # the front doors of folders, which say a sentence at most, are no files that anybody reads
    read = [n for name, n in zip(found, lengths, strict=True) if found[name].stem != "__init__" or n > 1]
    counts = {"files": len(read), "lines": sum(lengths)} | {name: len(each) for name, each in lists.items()}
    failed = [name for name, limit in LIMITS.items() if counts[name] > limit]
    for name, limit in LIMITS.items():
        print(f"{'TOO MANY' if name in failed else 'ok':8}  {name}: {counts[name]} (at most {limit})")
        if name in failed:
            for line in _lines(lists.get(name, [])):
                print(f"          {line}")
    print(f"          median of a file: {statistics.median(read):.0f} lines; {_sizes(read)}")
    typed = circles(import_graph(found, types=True))
    print(f"          circles between files with the imports for type checkers: {len(typed)}")
    return 1 if failed else 0


def _lines(found: list[str]) -> list[str]:
    """Names side by side, sentences each on a line of its own."""
    return found if any(" " in each for each in found) else textwrap.wrap(", ".join(found), 100)


def _sizes(lengths: list[int]) -> str:
    short, long = sum(n < 60 for n in lengths), sum(n > 450 for n in lengths)
    return f"{short} have fewer than 60, {long} more than 450"


if __name__ == "__main__":
    sys.exit(main())
