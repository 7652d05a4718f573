"""What two recipes do not share, in words, and whether two results are the same."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui import __version__
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.recipe import DataReference, PriorReference, Recipe, StackReference
from padis_gui.core.settings.declarations import Settings, SettingSpec, specs
from padis_gui.core.settings.untrusted import plain
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.registry import find_solver

_LONGEST = 60  # characters of a value: a list of boxes may be any length
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two recipes have otherwise: what it is called, and its value in the first and in the second."""

    name: str
    first: str
    second: str
    of: str = ""  # what a setting belongs to: two things may have one of the same label

    def __str__(self) -> str:
        return f"the {self.name} (was {self.first}, is {self.second})"


def differences(one: Recipe, other: Recipe) -> tuple[str, ...]:
    """:func:`differing` as words that can be listed: a run repeated under these may give other bits."""
    return tuple(str(each) for each in differing(one, other))


def what_differs(first_name: str, first: Recipe, second_name: str, second: Recipe) -> str:
    """:func:`differing` as a sentence about the second run, such as "Run 4 has steps n 40 (Run 3: 18) and seed 5 (4)."."""
    found = differing(first, second)
    if not found:
        return f"{first_name} and {second_name} have the same recipe."
    said = [f"{each.name} {each.second} ({each.first})" for each in found]
    said[0] = f"{found[0].name} {found[0].second} ({first_name}: {found[0].first})"
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"{second_name} has {listed}."


def differing(one: Recipe, other: Recipe) -> tuple[Difference, ...]:
    """Everything that the second recipe has otherwise than the first, what was chosen first and the machine last.

    Files that only lie elsewhere are the same files. A setting that a recipe does not name has its default; of two
    methods with different settings only those that are not the defaults are named.
    """
    found = (
        *_method(one, other),
        *_data(one.data, other.data),
        *_prior(one.prior, other.prior),
        *_seeds(one, other),
        *_pairs(("live changes", _changes(one), _changes(other)), ("steps done", _done(one), _done(other))),
        *_pairs(
            ("recipe's version", str(one.version), str(other.version)),
            ("device", one.device, other.device),
            ("precision", one.precision, other.precision),
            ("number of threads", str(one.threads), str(other.threads)),
        ),
        *_pairs(
            *(
                (
                    name if name == "machine" else f"version of {name}",
                    one.versions.get(name, "not there"),
                    other.versions.get(name, "not there"),
                )
                for name in dict.fromkeys([*one.versions, *other.versions])
            )
        ),
    )
    said = Counter(each.name for each in found)
    return tuple(
        replace(each, name=f"{each.name} of the {each.of}") if said[each.name] > 1 and each.of else each
        for each in found
    )


def _pairs(*named: tuple[str, str, str]) -> Iterator[Difference]:
    return (Difference(*each) for each in named if each[1] != each[2])


def _method(one: Recipe, other: Recipe) -> Iterator[Difference]:
    physics = find_physics(one.physics), find_physics(other.physics)
    solvers = find_solver(one.solver), find_solver(other.solver)
    yield from _pairs(("measurement", physics[0].label, physics[1].label))
    types = physics[0].settings_type, physics[1].settings_type
    yield from _settings("measurement", types, (one.problem, other.problem), (one.files, other.files))
    yield from _pairs(("further files", _further_files(one), _further_files(other)))
    yield from _settings(
        "tiling", (TilingSettings, TilingSettings), (_plain(one.tiling), _plain(other.tiling))
    )
    yield from _pairs(("method", solvers[0].label, solvers[1].label))
    yield from _settings(
        "method", (solvers[0].settings_type, solvers[1].settings_type), (one.settings, other.settings)
    )
    first, second = one.adaptation, other.adaptation
    yield from _pairs(("adaptation of the prior", _said(first is not None), _said(second is not None)))
    if first is not None and second is not None:
        yield from _settings(
            "adaptation", (AdaptationSettings, AdaptationSettings), (_plain(first), _plain(second))
        )
    yield from _stack(one.stack, other.stack)


def _stack(one: StackReference | None, other: StackReference | None) -> Iterator[Difference]:
    """Of a volume in one run: its pages from 1, how its slices were denoised together, and the prior across them."""

    def pages(stack: StackReference | None) -> str:
        return "one" if stack is None else _said([page + 1 for page in stack.pages])

    def across(stack: StackReference | None) -> tuple[str, str]:
        prior = None if stack is None else stack.across
        return (_NONE, "") if prior is None else (prior.file, prior.sha256)

    yield from _pairs(("slices in one run", pages(one), pages(other)))
    yield from _file("prior across slices", across(one), across(other))
    if one is not None and other is not None:
        yield from _settings(
            "slices", (StackSettings, StackSettings), (_plain(one.settings), _plain(other.settings))
        )


def _data(one: DataReference | None, other: DataReference | None) -> Iterator[Difference]:
    if one is None or other is None:
        first, second = (_NONE if data is None else _file_name(data.file) for data in (one, other))
        yield from _pairs(("image", first, second))
        return
    yield from _file("image", (one.file, one.sha256), (other.file, other.sha256))
    yield from _pairs(
        ("page", str(one.page + 1), str(other.page + 1)),
        ("window", _window(one), _window(other)),
        ("unit", one.unit or _NONE, other.unit or _NONE),
    )
    yield from _settings(
        "scan", (ReadingSettings, ReadingSettings), (_plain(one.reading), _plain(other.reading))
    )


def _window(data: DataReference) -> str:
    low, high = map(_number, data.window)
    return f"{low} to {high}"


def _prior(one: PriorReference, other: PriorReference) -> Iterator[Difference]:
    yield from _file("prior", (one.file, one.sha256), (other.file, other.sha256))
    yield from _pairs(
        ("training images' side", _said(one.image_size, "px"), _said(other.image_size, "px")),
        ("positions told to the prior", _said(one.positions), _said(other.positions)),
    )


def _seeds(one: Recipe, other: Recipe) -> Iterator[Difference]:
    def measured(recipe: Recipe) -> str:
        return "that of the run" if recipe.measurement_seed is None else str(recipe.measurement_seed)

    def samples(recipe: Recipe) -> str:
        return ", ".join(map(str, recipe.sample_seeds)) or _NONE

    yield from _pairs(
        ("seed", str(one.seed), str(other.seed)),
        ("seed of the measurement", measured(one), measured(other)),
        ("seeds of its samples", samples(one), samples(other)),
        ("noise shared in a pair", _said(one.paired), _said(other.paired)),
    )


def _changes(recipe: Recipe) -> str:
    """The live changes in the order in which they were made, each with what it changed."""
    found, settings, tiling = [], dict(recipe.settings), _plain(recipe.tiling)
    known, of_tiling = _specs(find_solver(recipe.solver).settings_type), _specs(TilingSettings)
    for change in recipe.changes:
        parts = []
        for before, after, declared in (
            (settings, change.settings or {}, known),
            (tiling, {} if change.tiling is None else _plain(change.tiling), of_tiling),
        ):
            now = {name: value for name, value in after.items() if before.get(name) != value}
            before |= now
            parts += [
                f"{_label(name, declared)} {_value(value, declared.get(name))}" for name, value in now.items()
            ]
        found.append(f"{' and '.join(parts) or 'nothing'} after step {change.step}")
    return "; ".join(found) or _NONE


def _done(recipe: Recipe) -> str:
    return "all" if recipe.stop_after is None else str(recipe.stop_after)


# Settings -----------------------------------------------------------------------------------------------


def _settings(
    of: str,
    types: tuple[type[Settings], type[Settings]],
    values: tuple[Mapping[str, Any], Mapping[str, Any]],
    files: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> Iterator[Difference]:
    """The settings that differ, by their labels; those of two classes meet where they have one name."""
    same = types[0] is types[1]
    declared = [_specs(each) for each in types]
    defaults = [_plain(each()) for each in types]
    found = [default | dict(given) for default, given in zip(defaults, values, strict=True)]
    for name in dict.fromkeys([*found[0], *found[1]]):
        spec = declared[1].get(name) or declared[0].get(name)
        if name in found[0] and name in found[1]:
            a, b = found[0][name], found[1][name]
            if spec is not None and spec.kind == "file":
                named = [
                    (str(value or ""), sums.get(str(value), ""))
                    for value, sums in ((a, files[0]), (b, files[1]))
                ]
                yield from _file(_label(name, declared[1] | declared[0]), named[0], named[1])
            elif a != b:
                yield replace(_between(_label(name, declared[1]), a, b, spec), of=of)
        else:
            at = 0 if name in found[0] else 1
            value = found[at][name]
            if same or value != defaults[at].get(name):
                said = [_NONE, _NONE]
                said[at] = _value(value, declared[at].get(name))
                yield Difference(_label(name, declared[at]), said[0], said[1], of)


def _between(name: str, a: Any, b: Any, spec: SettingSpec | None) -> Difference:
    first, second = _value(a, spec), _value(b, spec)
    if first == second:  # told apart only by more digits, or by what was left out
        first, second = (f"{each!r}"[: 4 * _LONGEST] for each in (a, b))
    return Difference(name, first, "others" if first == second else second)


def _specs(settings_type: type[Settings]) -> dict[str, SettingSpec]:
    return {spec.name: spec for spec in specs(settings_type)}


def _plain(settings: Settings) -> dict[str, Any]:
    """As JSON has them, which is how a recipe keeps them."""
    return settings.model_dump(mode="json")


def _label(name: str, declared: Mapping[str, SettingSpec]) -> str:
    """The label as it stands in a sentence, with the paper's letter."""
    spec = declared.get(name)
    if spec is None:
        return name.replace("_", " ")
    label = spec.label
    if label[1:2].islower():  # "CG steps" stays
        label = label[0].lower() + label[1:]
    return f"{label} {spec.symbol}" if spec.symbol else label


def _value(value: Any, spec: SettingSpec | None) -> str:
    if value is None and spec is not None and spec.optional:
        return "automatic"
    return _said(value, "" if spec is None else spec.unit)


def _said(value: Any, unit: str = "") -> str:
    if value is None or value == "" or value == []:
        return _NONE
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{_number(value)} {unit}".rstrip()
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else str(value)


# Files --------------------------------------------------------------------------------------------------


def _file(name: str, one: tuple[str, str], other: tuple[str, str]) -> Iterator[Difference]:
    """Paths with what they hold: that counts where it is known."""
    known = bool(one[1] and other[1])
    if (one[1] == other[1]) if known else one == other:
        return
    first, second = _file_name(one[0]), _file_name(other[0])
    if first == second and known:
        first, second = (f"{first}, SHA-256 {sha256[:12]}…" for _, sha256 in (one, other))
    elif first == second:
        first, second = (f"{file}, SHA-256 {sha256[:12] or 'not known'}" for file, sha256 in (one, other))
    yield Difference(name, first, second)


def _file_name(file: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[\\/]", file)[-1] or file or "an array"


def _further_files(recipe: Recipe) -> str:
    """Files that no setting of the problem names."""
    named = {s.name for s in specs(find_physics(recipe.physics).settings_type) if s.kind == "file"}
    told = {str(value) for name, value in recipe.problem.items() if name in named}
    rest = (f"{_file_name(file)} {sha256[:12]}" for file, sha256 in recipe.files.items() if file not in told)
    return ", ".join(sorted(rest)) or _NONE


# Results ------------------------------------------------------------------------------------------------


def compared(
    name: str,
    first: Sequence[NDArray[Any]],
    again: Sequence[NDArray[Any]],
    *,
    unit: str = "",
    other: Sequence[str] = (),
) -> tuple[bool, str]:
    """Whether the pages of a repeated result are those of the first one, called ``name``, and words that say so.

    Where they are not the words tell by how much they differ, in ``unit``, and ``other``: what differed in the making.
    """
    reason = f"; different are {', '.join(other)}" if other else ""
    if [page.shape for page in first] != [page.shape for page in again]:
        return False, f"differs from {name} in size or number of pictures{reason}"
    if all(_same_bits(a, b) for a, b in zip(first, again, strict=True)):
        return True, f"identical to {name}, bit for bit"
    apart = [np.abs(a.astype(np.float64) - b) for a, b in zip(first, again, strict=True)]
    found = np.concatenate([page[np.isfinite(page)] for page in apart])
    largest = float(found.max()) if found.size else float("nan")
    return False, f"differs from {name} by at most {largest:.3g}{f' {unit}' if unit else ''}{reason}"


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Also zeros of different sign are different bits; the order of bytes in a file is none of the values."""
    first, second = (np.ascontiguousarray(page, page.dtype.newbyteorder("=")) for page in (one, other))
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()


_VERSION = re.compile(r"(\d{1,6}(?:\.\d{1,6}){0,3})")


def said_newer(name: str, stated: object) -> str:
    """A sentence where a file was made by a newer version of this program than this one, as it says itself; "" otherwise.

    Nothing is asked of anybody. What is no version counts for none.
    """
    found = _VERSION.match(stated) if isinstance(stated, str) else None
    if found is None or _numbers(found[1]) <= _numbers(__version__):
        return ""
    return (
        f"{name} was made by padis_gui {plain(str(stated), 40)}, which is newer than this one ({__version__}): what that "
        "has and this has not may be missing; install the newer one to be sure."
    )


def _numbers(version: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in re.findall(r"\d{1,6}", version)[:4])
    return numbers + (0,) * (4 - len(numbers))
