"""The program as a process: import order, and a window that opens and closes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from padis_gui.cli.main import VERBS
from padis_gui.core.runs.presets import resource

_ORDER = """
import sys
import {module}
names = list(sys.modules)
assert names.index("torch") < names.index("PySide6"), "Qt came first"
"""
# what OpenMP reads of how its threads wait, when torch is imported
_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_OPEN_AND_CLOSE = """
import sys
from PySide6.QtCore import QTimer
import padis_gui.gui.frame.main_window as module
shown = module.MainWindow.showEvent
def close_soon(self, event):
    shown(self, event)
    QTimer.singleShot(1500, self.close)
module.MainWindow.showEvent = close_soon
from padis_gui.gui.frame.app import main
sys.exit(main({arguments}))
"""


def _python(code: str, **more: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in _WAITING}
    environment = {**own, "QT_QPA_PLATFORM": "offscreen", **more}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("first", "given", "spins"),
    [
        ("padis_gui", {}, "5000"),
        ("padis_gui.__main__", {}, "5000"),
        ("padis_gui", {"GOMP_SPINCOUNT": "12"}, "12"),
        ("padis_gui", {"OMP_WAIT_POLICY": "active"}, "None"),
        ("torch", {}, "None"),  # too late: it would only be passed on to other programs
    ],
)
def test_threads_that_wait_leave_the_cores_to_others(first, given, spins):
    code = f"import {first}, padis_gui, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = _python(code, **given)
    assert (done.stdout.strip(), done.returncode) == (spins, 0), done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "padis_gui.gui.frame.app",
        "padis_gui.gui.frame.main_window",
        "padis_gui.viewmodels.session.session",
    ],
)
def test_torch_is_imported_before_qt(module):
    done = _python(_ORDER.format(module=module))
    assert done.returncode == 0, done.stderr


def test_the_program_opens_its_window_and_leaves_cleanly(phantom_path):
    done = _python(_OPEN_AND_CLOSE.format(arguments=[str(phantom_path)]))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "propagateSizeHints" not in line]
    assert lines == []


@pytest.mark.parametrize(
    ("argument", "is_a_file"),
    [
        ("reconstruct", False),
        ("--version", False),
        ("recontsruct", False),  # a verb misspelt, of which the command line says so
        ("scan.tif", True),  # also where it is not there: the window says that
        ("IM0001", True),
        ("series/IM0002", True),
    ],
)
def test_what_is_given_is_a_file_or_for_the_command_line(argument, is_a_file, tmp_path, monkeypatch):
    from padis_gui.__main__ import _is_file_or_window_option

    monkeypatch.chdir(tmp_path)
    (tmp_path / "IM0001").write_bytes(b"")
    (tmp_path / "reconstruct").write_bytes(b"")
    assert _is_file_or_window_option(argument) is is_a_file


def test_the_core_imports_no_qt():
    done = _python(
        "import sys, padis_gui.core.runs.recipe, padis_gui.core.training.train, padis_gui.core.exports.tiff\n"
        "assert not [m for m in sys.modules if m.startswith(('PySide6', 'pyqtgraph', 'qasync'))]"
    )
    assert done.returncode == 0, done.stderr


# what takes long to import, and of which a verb imports no more than it needs
_HEAVY = (
    "torch", "scipy", "skimage", "astra", "h5py", "hdf5plugin", "pydicom", "nibabel", "tifffile", "zarr", "PIL", "rich",
    "jinja2", "distributed", "tensorboardX", "PySide6",
)  # fmt: skip
_TOLD = """
import sys
from padis_gui.__main__ import main
code = main()
print(code, *sorted({heavy} & set(sys.modules)), file=sys.__stderr__)
"""
# arguments, exit code, and which of these are needed for them; {name} is a file of the fixture below
_LIGHT = [
    ("--help", 0, ""),
    ("nonsense", 2, ""),
    *((f"{verb} --help", 0, "") for verb in VERBS),
    ("inspect {prior}", 0, ""),
    ("inspect {result}", 0, "tifffile"),
    ("inspect {photo} {scan}", 2, ""),
    ("geometry --schema", 0, ""),
    ("geometry --example cone", 0, ""),
    ("geometry {folder}/missing.h5", 2, ""),
    ("geometry {photo}", 2, "PIL"),
    ("reconstruct", 2, ""),
    ("reconstruct {photo} --nonsense", 2, ""),
    ("reconstruct {folder}/missing.tif --out {folder}/out.tif", 2, ""),
    ("reconstruct {damaged} --out {folder}/out.tif", 2, "PIL"),
    ("reconstruct {photo} --out {folder}/out.tif --views many", 2, "PIL"),
    ("reconstruct {photo} --out {folder}/out.tif --set nonsense=1", 2, "PIL"),
    ("reconstruct {photo} --out {folder}/out.tif --prior {photo}", 2, "PIL"),
    ("reconstruct {photo} --out {folder}/out.tif --prior {folder}/none.pkl", 2, "PIL"),
    ("generate --out {folder}/out.tif --rows many", 2, ""),
    ("repeat {folder}/missing.tif", 2, "tifffile"),
    ("train {folder} --out {folder}/training --batch many", 2, ""),
    ("volume {result} --out {folder}/out.tif --steps many", 2, "tifffile"),
    ("experiment {photo} --out {folder}/out.jsonl --solver nonsense", 2, ""),
    ("convert {photo} {folder}/out.", 2, ""),
    ("queue {folder}/missing.json", 2, ""),
]


@pytest.mark.parametrize(("arguments", "code", "needed"), _LIGHT, ids=[each[0] for each in _LIGHT])
def test_what_only_reads_or_refuses_imports_nothing_that_it_does_not_need(arguments, code, needed, tmp_path):
    """Above all not torch, which takes longer than all the rest."""
    files = {
        "folder": tmp_path, "damaged": tmp_path / "damaged.png", "scan": tmp_path / "scan.h5",
        "prior": resource("priors/ct-small.safetensors"), "photo": resource("images/photo.png"),
        "result": Path(__file__).parents[1] / "before" / "run-integers.tif",
    }  # fmt: skip
    files["damaged"].write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    files["scan"].write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    given = ["padis-gui", *(word.format(**files) for word in arguments.split())]
    done = _python(f"import sys\nsys.argv = {given!r}{_TOLD.format(heavy=set(_HEAVY))}")
    found = done.stderr.splitlines()[-1].split()
    assert found[0] == str(code), done.stderr
    assert set(found[1:]) <= set(needed.split()), done.stderr


def _started(environment, before=""):
    """The program as it is started without arguments, in an environment without displays but for those given."""
    kept = {n: v for n, v in os.environ.items() if n not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    code = f"import sys\nsys.argv = ['padis-gui']\n{before}\nfrom padis_gui.__main__ import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


_LACKING = """
import ctypes
loads = ctypes.CDLL.__init__
def lacks(self, name, *more, **others):
    if "libqxcb" in str(name) or "libxcb-cursor" in str(name):
        raise OSError("libxcb-cursor.so.0: cannot open shared object file: No such file or directory")
    loads(self, name, *more, **others)
ctypes.CDLL.__init__ = lacks
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there a window may be impossible")
@pytest.mark.parametrize(
    ("environment", "before", "said"),
    [
        ({}, "", "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({"QT_QPA_PLATFORM": "xcb"}, "", "DISPLAY is not set"),
        ({"DISPLAY": ":987"}, "", "(:987) cannot be reached"),
        ({"WAYLAND_DISPLAY": "nowhere"}, "", "(nowhere) cannot be reached"),
        ({"DISPLAY": ":987"}, _LACKING, "libxcb-cursor.so.0 was wanted"),
        ({"DISPLAY": ":987"}, _LACKING, "install libxcb-cursor0 "),
    ],
)
def test_where_no_window_can_be_opened_one_sentence_says_why(environment, before, said):
    done = _started(environment, before)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1  # no abort of Qt's, no traceback
    lacks_wayland = "WAYLAND_DISPLAY" in environment and "libwayland" in done.stderr  # as a machine may
    assert said in done.stderr or lacks_wayland
    assert "the command line works without" in done.stderr
    assert done.stdout == ""
