"""What the list of runs says of each run, column by column, and the line that filters it."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.settings.declarations import specs
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.runs.runs import RunRecord

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``value`` to sort and filter by, NaN where it is not known, and ``text`` to show.

    ``key`` is its name where the user writes it, ``width`` its width in pixels at first.
    """

    key: str
    title: str
    tip: str
    value: Callable[[RunRecord], float | str]
    text: Callable[[RunRecord], str]
    width: int
    number: bool = True


def _words(key: str, title: str, tip: str, text: Callable[[RunRecord], str], width: int) -> Column:
    return Column(key, title, tip, text, text, width, number=False)


def _number(
    key: str, title: str, tip: str, value: Callable[[RunRecord], float], form: str, width: int
) -> Column:
    def text(record: RunRecord) -> str:
        found = value(record)
        return format(found, form) if math.isfinite(found) else UNKNOWN

    return Column(key, title, tip, value, text, width)


def _metric(name: str) -> Callable[[RunRecord], float]:
    return lambda record: record.metrics.get(name, math.nan)


def data_name(record: RunRecord) -> str:
    """The name of the image's file, without its folder; "" where nothing was measured."""
    data = record.recipe.data
    return "" if data is None else _path(data.file).name or "array"


def _path(file: str) -> PurePosixPath:
    return PurePosixPath(file.replace("\\", "/"))


def _data(record: RunRecord) -> str:
    data = record.recipe.data
    if data is None:
        return UNKNOWN
    if record.recipe.stack is not None:
        return f"{data_name(record)}, {slices_text(record.recipe.stack.pages)}"
    return data_name(record) + (f", page {data.page + 1}" if data.page else "")


def slices_text(pages: Sequence[int]) -> str:
    """Which pages of a file, given from 0, are a volume, in words and from 1."""
    first, last = pages[0] + 1, pages[-1] + 1
    gaps = "" if last - first + 1 == len(pages) else f", {len(pages)} of them"
    return f"slices {first} to {last}{gaps}"


def views(record: RunRecord) -> float:
    """How many views were measured; NaN where the measurement has none."""
    found = record.recipe.problem.get("views")
    return float(found) if isinstance(found, int) else math.nan


def _views_text(record: RunRecord) -> str:
    found = views(record)
    return UNKNOWN if math.isnan(found) else f"{found:.0f}"


def _asks_prior(record: RunRecord) -> bool:
    recipe = record.recipe
    return find_solver(recipe.solver).diffusion or recipe.settings.get("denoiser") == "prior"


def _tiling(record: RunRecord) -> str:
    if not _asks_prior(record):
        return UNKNOWN
    tiling = record.recipe.tiling
    return TILINGS.find(tiling.strategy).label + (f", {tiling.patch} px" if tiling.patch else "")


def prior_name(record: RunRecord) -> str:
    """What the prior is called: its file's name, or that of its folder where a training wrote it."""
    path = _path(record.recipe.prior.file)
    return path.parent.name if path.stem == "prior" else path.stem


def _prior(record: RunRecord) -> str:
    return prior_name(record) if _asks_prior(record) else UNKNOWN


def _seed(record: RunRecord) -> str:
    count = len(record.recipe.sample_seeds)
    return f"{count} seeds" if count else str(record.recipe.seed)


def _steps(record: RunRecord) -> str:
    if not record.step:
        return UNKNOWN
    return str(record.step) if record.step == record.total else f"{record.step} of {record.total}"


def remark_of(record: RunRecord) -> str:
    """How it ended, unless as it should, and what else is known of it."""
    parts = ["pinned"] if record.pinned else []
    if record.state not in ("Done", "Samples"):
        parts.append(record.state.lower())
    if record.note:
        parts.append(record.note)
    return ", ".join(parts)


COLUMNS = (
    _words("name", "Name", "A name of your own: F2 or a double click; tick runs to export them together",
           lambda r: r.name, 150),
    _words("method", "Method", "The solver", lambda r: r.solver_label, 84),
    _number("psnr", "PSNR", "Peak signal-to-noise ratio against the truth, in dB", _metric("psnr"), ".2f", 54),
    _number("ssim", "SSIM", "Structural similarity to the truth", _metric("ssim"), ".3f", 50),
    _number("seam", "Seam ratio", "Jumps across tile borders against those inside, as measured last: 1 is no seam",
            lambda r: r.seam_ratio, ".3f", 76),
    _number("zstep", "Step z", "Of a volume: how much a slice differs from the next, over the same of the truth: 1 is as "
            "it should be, more is jumps from slice to slice, less is blurred along z", _metric("z_step_ratio"), ".3f", 54),
    Column("steps", "Steps", "The step whose estimate this is, and how many there would have been",
           lambda r: float(r.step or math.nan), _steps, 58),
    Column("time", "Time", "Time of the solver, in seconds", lambda r: r.seconds, lambda r: f"{r.seconds:.1f} s", 58),
    _words("data", "Data", "The image's file, and its page where that is not the first, or its slices", _data, 110),
    Column("views", "Views", "Projections of a scan", views, _views_text, 46),
    _words("tiling", "Tiling", "Where the patches lay, and their side", _tiling, 104),
    _words("prior", "Prior", "The trained network", _prior, 84),
    Column("seed", "Seed", "The seed that was used", lambda r: float(r.recipe.seed), _seed, 84),
    _number("residual", "Residual", "‖Ax̂ − y‖ / ‖y‖", _metric("residual"), ".1e", 62),
    Column("when", "When", "When it ended, in local time", lambda r: r.when.timestamp(),
           lambda r: r.when.astimezone().strftime("%d %b %H:%M"), 92, number=False),
    _words("remark", "Remark", "How it ended, and what else is known of it", remark_of, 120),
)  # fmt: skip
BY_KEY = {column.key: column for column in COLUMNS}


_COMPARISON = re.compile(r"([a-z]+)(<=|>=|<|>|=)(.+)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip


def matches(record: RunRecord, line: str, words: str | None = None) -> bool:
    """Whether a run has every word of a line in some column, and fulfils every comparison such as ``psnr>34``.

    Neither capitals nor the order matter; what is not known fulfils no comparison. ``words`` are those of the run, where
    :func:`words_of` has been asked before.
    """
    for word in line.casefold().split():
        fulfilled = _compared(record, word)
        if fulfilled is None:
            words = words_of(record) if words is None else words
            fulfilled = word in words
        if not fulfilled:
            return False
    return True


def _compared(record: RunRecord, word: str) -> bool | None:
    """Whether a comparison holds; None where the word is none."""
    found = _COMPARISON.fullmatch(word)
    column = None if found is None else BY_KEY.get(found[1])
    if found is None or column is None:
        return None
    value = column.value(record)
    if isinstance(value, str):
        return found[2] == "=" and value.casefold() == found[3]
    try:
        wanted = float(found[3])
    except ValueError:
        return column.text(record).casefold() == found[3] if found[2] == "=" else False
    return _COMPARE[found[2]](value, wanted)


def words_of(record: RunRecord) -> str:
    """All columns of a run, and what the command line calls its method, in small letters."""
    recipe = record.recipe
    more = (recipe.physics, find_physics(recipe.physics).label, recipe.solver)
    return " ".join((*(column.text(record) for column in COLUMNS), *more)).casefold()


def details_of(record: RunRecord) -> str:
    """What a run was made of, in lines: measurement, tiling, settings by their labels."""
    recipe = record.recipe
    solver = find_solver(recipe.solver)
    lines = [f"{_data(record)}, {find_physics(recipe.physics).label}", f"{solver.label}: {_tiling(record)}"]
    said = []
    for spec in specs(solver.settings_type):
        if spec.name in recipe.settings:
            value = recipe.settings[spec.name]
            shown = "automatic" if value is None else f"{value} {spec.unit}".rstrip()
            said.append(f"{spec.symbol or spec.label} {shown}")
    return "\n".join([*lines, ", ".join(said), f"{record.evaluations} denoiser calls"])


NAME_FIELDS = {
    "name": "The run's name in the list", "number": "Its place among those that are exported, from 1",
    "data": "The image's file, without its ending", "page": "The page of that file, from 1",
    "physics": "The measurement, as the command line calls it", "solver": "The solver, as the command line calls it",
    "tiling": "The tiling", "prior": "The prior", "seed": "The seed", "date": "The day on which it ended",
    "views": "Projections of a scan", "steps": "Steps that were made", "psnr": "PSNR in dB", "ssim": "SSIM",
    "seam": "The seam ratio",
}  # fmt: skip


def name_fields(record: RunRecord, number: int) -> dict[str, str]:
    """The texts of :data:`NAME_FIELDS` for a run, the ``number``-th of those that are exported."""
    recipe = record.recipe
    known = {key: BY_KEY[key].text(record) for key in ("views", "steps", "psnr", "ssim", "seam")}
    return {
        "name": record.name,
        "number": str(number),
        "data": _path(data_name(record)).stem or "generated",
        "page": str(1 if recipe.data is None else recipe.data.page + 1),
        "physics": recipe.physics,
        "solver": recipe.solver,
        "tiling": recipe.tiling.strategy,
        "prior": prior_name(record),
        "seed": _seed(record),
        "date": record.when.astimezone().strftime("%Y-%m-%d"),
    } | {name: "none" if text == UNKNOWN else text for name, text in known.items()}
