"""The script that holds the layout to its limits finds what it looks for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging" / "house.py"


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path):
    """A function that makes a package of modules, named with dots, and their texts."""

    def make(**texts: str) -> Path:
        root = tmp_path / "padis_gui"
        for layer in ("core", "viewmodels", "gui"):
            (root / layer).mkdir(parents=True, exist_ok=True)
            (root / layer / "__init__.py").touch()
        for name, text in texts.items():
            path = root.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(text, encoding="utf-8")
        (root / "__init__.py").touch()
        return root

    return make


def graph(house: ModuleType, root: Path, **options: bool) -> dict[str, set[str]]:
    return house.import_graph(house.modules(root), **options)


def test_a_tidy_package_passes(house, package, capsys) -> None:
    root = package(
        core__a="from padis_gui import core", core__files__b="from padis_gui.core.a import x",
        viewmodels__v="from padis_gui.core.files.b import y", gui__w="import padis_gui.viewmodels.v",
        cli__c="from padis_gui.core.files import b",
    )  # fmt: skip
    assert house.main(root) == 0
    said = capsys.readouterr().out
    assert "names seen in padis_gui/core: 2" in said
    assert "TOO MANY" not in said
    assert graph(house, root)["padis_gui.cli.c"] == {"padis_gui.core.files.b"}


def test_circles_between_files_are_found_wherever_the_import_stands(house, package) -> None:
    root = package(
        core__a="from padis_gui.core.b import x", core__b="def f():\n    from padis_gui.core.c import y",
        core__c="try:\n    import padis_gui.core.a\nexcept ImportError:\n    pass",
    )  # fmt: skip
    assert house.circles(graph(house, root)) == [["padis_gui.core.a", "padis_gui.core.b", "padis_gui.core.c"]]
    assert house.main(root) == 1


def test_imports_for_type_checkers_make_no_circle(house, package) -> None:
    root = package(
        core__a="from padis_gui.core.b import x",
        core__b="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from padis_gui.core.a import X",
    )
    assert house.circles(graph(house, root)) == []
    assert len(house.circles(graph(house, root, types=True))) == 1


def test_circles_between_folders_are_found_where_no_file_is_in_one(house, package) -> None:
    root = package(
        core__one__a="from padis_gui.core.two.b import x", core__two__b="", core__one__d="",
        core__two__c="from padis_gui.core.one.d import y", core__one__deep__e="from padis_gui.core.one.d import y",
    )  # fmt: skip
    edges = graph(house, root)
    assert house.circles(edges) == []
    (found,) = house.folder_circles(edges)
    assert found == "padis_gui.core.one <-> padis_gui.core.two: one -> two 1, two -> one 1"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core__a", "from padis_gui.viewmodels.v import x"),
        ("viewmodels__a", "from padis_gui.gui.w import x"),
        ("cli__a", "def f():\n    from padis_gui.gui.w import x"),
    ],
)
def test_imports_that_go_up_are_found(house, package, name: str, text: str) -> None:
    root = package(viewmodels__v="", gui__w="", **{name: text})
    assert len(house.going_up(graph(house, root))) == 1


def test_what_passes_a_limit_is_named(house, package, capsys) -> None:
    root = package(**{f"viewmodels__v{n}": "" for n in range(9)})
    assert house.main(root) == 1
    assert "TOO MANY  names seen in padis_gui/viewmodels: 9 (at most 8)" in capsys.readouterr().out
