"""A report of what went wrong, or of how things stand: for a person to read, copy and send."""

import platform
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic_core import to_json
from PySide6.QtCore import qVersion

from padis_gui import __version__
from padis_gui.core.settings._j_machine__core_device import describe_device
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session

_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "astra-toolbox",
    "PySide6-Essentials",
    "pyqtgraph",
    "qasync",
    "pydantic",
)


def versions() -> dict[str, str]:
    """Of the program, of what it stands on, and of the system."""
    found = {"padis_gui": __version__, "Python": platform.python_version(), "Qt": qVersion()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"system": platform.platform(), "processor": platform.machine()}


def choices(session: Session) -> dict[str, Any]:
    """What is open and chosen in a session."""
    return {
        "device": describe_device(session.prior.device),
        "data": None if session.data.path is None else str(session.data.path),
        "page": None if session.data.image is None else session.data.image.page,
        "shape": None if session.data.image is None else session.data.image.shape,
        "prior": None if session.prior.path is None else str(session.prior.path),
        "preset": session.method.preset,
        "physics": session.method.physics,
        "problem": session.method.problem.model_dump(mode="json"),
        "tiling": session.method.tiling.model_dump(mode="json"),
        "solver": session.method.solver,
        "settings": session.method.settings.model_dump(mode="json"),
        "seed": session.method.seed,
        "run": session.run.snapshot().state.value,
        "step": session.run.snapshot().step,
    }


def report_text(session: Session, sentence: str, details: str, log_tail: str) -> str:
    """The report as plain text: what happened, where, with which versions and settings, and the end of the log."""
    parts = [f"padis_gui report, {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"]
    if sentence:
        parts.append(sentence)
    if details:
        parts.append(f"== Details ==\n{details.rstrip()}")
    table = "\n".join(f"{name}: {value}" for name, value in versions().items())
    parts.append(f"== Versions ==\n{table}")
    parts.append(f"== Settings ==\n{to_json(choices(session), indent=2).decode()}")
    parts.append(f"== End of the log ==\n{log_tail.rstrip() or 'empty'}")
    return "\n\n".join(parts) + "\n"
