"""Whether Qt can open a window on this system, found out before Qt is loaded: it would abort without a word to the user.

Nothing here imports Qt. Only Linux (and what is like it) has windows that may be missing; libraries are looked for by
loading Qt's own plugin, as Qt will.
"""

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# Which package of Debian and Ubuntu brings a library that Qt's wheels leave to the system
_PACKAGES = {
    "libEGL.so.1": "libegl1", "libGL.so.1": "libgl1", "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6", "libdbus-1.so.3": "libdbus-1-3", "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0", "libX11.so.6": "libx11-6", "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1", "libxcb-cursor.so.0": "libxcb-cursor0", "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0", "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0", "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0", "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0", "libxcb-sync.so.1": "libxcb-sync1", "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0", "libxcb-xkb.so.1": "libxcb-xkb1", "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0", "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0", "libwayland-egl.so.1": "libwayland-egl1",
}  # fmt: skip
_COMMAND_LINE = "the command line works without (padis-gui reconstruct --help)"


def why_no_window() -> str:
    """One sentence on what keeps Qt from opening a window, and what to do; empty where nothing does."""
    if not sys.platform.startswith("linux"):
        return ""
    asked = [name.partition(":")[0] for name in os.environ.get("QT_QPA_PLATFORM", "").split(";") if name]
    screens = {"xcb": os.environ.get("DISPLAY", ""), "wayland": os.environ.get("WAYLAND_DISPLAY", "")}
    wanted = asked or [name for name, screen in screens.items() if screen]
    if not wanted:
        return (
            "A display was wanted for the window, but neither DISPLAY nor WAYLAND_DISPLAY is set; start it from a desktop, "
            f"by ssh -X, or under xvfb-run (package xvfb); {_COMMAND_LINE}."
        )
    reasons = [_why_not(name, screens) for name in wanted]
    return "" if "" in reasons else reasons[0]


def _why_not(name: str, screens: dict[str, str]) -> str:
    """What keeps this platform of Qt from being used."""
    kind = "wayland" if name.startswith("wayland") else name
    if kind in screens and not screens[kind] and kind == "xcb":
        return (
            "A display was wanted for the window, but DISPLAY is not set; start it from a desktop, by ssh -X, or under "
            f"xvfb-run (package xvfb); {_COMMAND_LINE}."
        )
    if kind in screens:
        return _missing_libraries(kind) or _unreachable(kind, screens[kind])
    return _missing_libraries(kind)


def _missing_libraries(kind: str) -> str:
    plugin = _plugin(kind)
    if plugin is None:
        return ""  # a plugin of the user's own, or no Qt at all: Python says so
    trouble = _loading(str(plugin))
    if not trouble:
        return ""
    missing = [library for library in _PACKAGES if library in trouble or _loading(library)]
    packages = list(dict.fromkeys(_PACKAGES[library] for library in missing))
    if not packages:
        return (
            f"Qt's plugin for {kind} was to be loaded for the window, but the system refuses ({trouble}); install the "
            f"library that it lacks; {_COMMAND_LINE}."
        )
    needed = [library for library in missing if library in trouble] or missing
    return (
        f"The library {needed[0]} was wanted for the window, but the system does not have it; install "
        f"{' '.join(packages)} (apt install {' '.join(packages)}, on Debian and Ubuntu); {_COMMAND_LINE}."
    )


def _plugin(kind: str) -> Path | None:
    """Qt's own plugin for a platform."""
    spec = find_spec("PySide6")
    folders = () if spec is None else spec.submodule_search_locations or ()
    found = (Path(folder) / "Qt" / "plugins" / "platforms" / f"libq{kind}.so" for folder in folders)
    return next((path for path in found if path.is_file()), None)


def _loading(library: str) -> str:
    """What the system says where it cannot load a library; empty where it can."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return str(error) or "no reason given"
    return ""


def _unreachable(kind: str, display: str) -> str:
    """A sentence where nothing answers at the display."""
    if _answers_x(display) if kind == "xcb" else _is_wayland(display):
        return ""
    variable = "DISPLAY" if kind == "xcb" else "WAYLAND_DISPLAY"
    return (
        f"A display was wanted for the window, but the one that {variable} names ({display}) cannot be reached; correct "
        f"{variable}, or the permission to use it (xhost, ssh -X); {_COMMAND_LINE}."
    )


def _answers_x(display: str) -> bool:
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = (ctypes.c_void_p,)
    connection = xcb.xcb_connect(display.encode(), None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return not failed


def _is_wayland(display: str) -> bool:
    """Whether the compositor's socket is there."""
    return (Path(os.environ.get("XDG_RUNTIME_DIR", "")) / (display or "wayland-0")).is_socket()
