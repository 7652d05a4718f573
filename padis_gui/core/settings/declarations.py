"""Settings declared once, one lookup for whatever is chosen by its name, and random streams that branch off others.

A settings class is a frozen pydantic model whose fields are made by :func:`setting`, with range, unit, symbol and help.
The form in the window, the options of the command line, the JSON of a recipe, the tooltip and the TIFF metadata all
read that one declaration through :func:`specs`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from padis_gui.core import torch
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.untrusted import plain

MAX_SEED = 2**32 - 1  # torch's CPU generator looks at 32 bits: larger seeds would repeat smaller ones


def branch(rng: torch.Generator) -> torch.Generator:
    """A generator of its own, seeded by one number of ``rng``: however much it draws, ``rng`` goes on alike."""
    return torch.Generator().manual_seed(int(torch.randint(0, MAX_SEED, (), generator=rng)))


class Settings(BaseModel):
    """Base of all settings: immutable, complete, finite numbers only, no unknown names."""

    # most classes are declared in a process that makes settings of a few: their schemas are built when these are made
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @classmethod
    def conditions_of(cls, name: str) -> Mapping[str, Any]:
        """When a setting means something: others by their names, with the values wanted of them; see :func:`setting`."""
        extra = cls.model_fields[name].json_schema_extra
        when = extra.get("when") if isinstance(extra, dict) else None
        return when if isinstance(when, dict) else {}


S = TypeVar("S", bound=Settings)

# The type of a validator's PydanticCustomError whose text says what was wanted
WANTED: Final = "wanted"
# For `when`: the other setting has any value at all, or none (automatic, an empty list)
GIVEN: Final = "a value is given"
NOT_GIVEN: Final = "no value is given"


def setting(
    default: Any,
    *,
    label: str,
    help: str,
    symbol: str = "",
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    live: bool = False,
    advanced: bool = False,
    file: bool = False,
    when: Mapping[str, Any] | None = None,
    before: Any = None,
) -> Any:
    """Declare one setting.

    ``label`` is its name in the form, ``symbol`` the paper's letter, ``unit`` what it is measured in;
    ``ge``, ``gt``, ``le`` bound it. ``live`` settings may change between two iterates of a run;
    ``advanced`` ones are folded away in the form. ``file`` says that a text is the path of a file to read.
    ``when`` says that the setting means something only while another one has a certain value, one of several
    (a tuple), :data:`GIVEN` or :data:`NOT_GIVEN`, such as ``when={"mask": ("boxes", "pixels")}``; the form hides it
    otherwise. Where several are named, all must hold. ``before`` is what was done before there was this setting: a
    recipe in which it is missing is that old, and means this.
    """
    return Field(
        default=default,
        title=label,
        description=help,
        ge=ge,
        le=le,
        gt=gt,
        json_schema_extra={
            "symbol": symbol, "unit": unit, "live": live, "advanced": advanced, "file": file,
            "when": dict(when or {}), "before": before,
        },
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """That another setting, called ``name`` and shown as ``label``, has one of certain values."""

    name: str
    label: str
    wanted: Any

    def holds(self, settings: Settings) -> bool:
        value = getattr(settings, self.name)
        if self.wanted in (GIVEN, NOT_GIVEN):
            given = value not in (None, (), "")
            return given if self.wanted == GIVEN else not given
        return bool(value in self.wanted if isinstance(self.wanted, tuple) else value == self.wanted)

    @property
    def text(self) -> str:
        if self.wanted in (GIVEN, NOT_GIVEN):
            return f"{self.label} {'given' if self.wanted == GIVEN else 'automatic'}"
        wanted = self.wanted if isinstance(self.wanted, tuple) else (self.wanted,)
        words = {True: "on", False: "off"}
        whole = [w for w in wanted if type(w) is int]
        if len(whole) == len(wanted) > 2 and whole == list(range(whole[0], whole[-1] + 1)):
            return f"{self.label} {whole[0]} to {whole[-1]}"
        return f"{self.label} " + " or ".join(words[w] if isinstance(w, bool) else str(w) for w in wanted)


def as_before(settings: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a record, and of settings that were declared since what was done before; see :func:`setting`."""
    extras = {name: field.json_schema_extra for name, field in settings.model_fields.items()}
    then = {name: extra["before"] for name, extra in extras.items() if isinstance(extra, dict)}
    return {name: value for name, value in then.items() if value is not None} | dict(values)


def since_before(settings: Settings) -> dict[str, Any]:
    """The values of settings as JSON, without those that do what was done before there was such a setting.

    So what is known by its values is known by them still when settings are declared that it does not use.
    """
    values = settings.model_dump(mode="json")
    then = as_before(type(settings), {})
    return {name: value for name, value in values.items() if name not in then or then[name] != value}


Kind = Literal["int", "float", "bool", "choice", "numbers", "text", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSpec:
    """What a form, an option parser or a tooltip needs to know of one setting."""

    name: str
    label: str
    help: str
    symbol: str
    unit: str
    kind: Kind
    default: Any
    minimum: float | None
    maximum: float | None
    choices: tuple[Any, ...]
    optional: bool
    live: bool
    advanced: bool
    conditions: tuple[Condition, ...]

    def applies(self, settings: Settings) -> bool:
        """Whether the setting means something beside the others' values."""
        return all(condition.holds(settings) for condition in self.conditions)

    @property
    def when_text(self) -> str:
        """When the setting means something, such as "only with Mask boxes"; empty where it always does."""
        return "only with " + " and ".join(c.text for c in self.conditions) if self.conditions else ""

    @property
    def range_text(self) -> str:
        """The range in words, for messages and tooltips."""
        if self.kind == "choice":
            return "one of " + ", ".join(str(c) for c in self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"at least {self.minimum:g}"
        if self.maximum is not None:
            return f"at most {self.maximum:g}"
        if self.kind == "numbers":
            return "numbers separated by commas"
        words = {"int": "a whole number", "float": "a number", "bool": "on or off", "file": "a file"}
        return words.get(self.kind, "a text")

    @property
    def tooltip(self) -> str:
        """Help, symbol, unit, range and default as one text."""
        symbol = f" ({self.symbol})" if self.symbol else ""
        unit = f" [{self.unit}]" if self.unit else ""
        default = "automatic" if self.default is None else self.default
        when = f" Shown {self.when_text}." if self.conditions else ""
        return f"{self.label}{symbol}{unit}: {self.help}\nRange: {self.range_text}. Default: {default}.{when}"


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        return inner[0], True
    return annotation, False


@cache
def specs(settings_type: type[Settings]) -> tuple[SettingSpec, ...]:
    """The declarations of a settings class, in the order of its fields."""
    found = []
    for name, field in settings_type.model_fields.items():
        annotation, optional = _unwrap(field.annotation)
        choices: tuple[Any, ...] = ()
        kind: Kind
        if typing.get_origin(annotation) is Literal:
            kind, choices = "choice", typing.get_args(annotation)
        elif annotation is bool:
            kind = "bool"
        elif annotation is int:
            kind = "int"
        elif annotation is float:
            kind = "float"
        else:
            kind = "numbers" if typing.get_origin(annotation) is tuple else "text"
        bounds = {
            key: getattr(rule, key)
            for rule in field.metadata
            for key in ("ge", "gt", "le")
            if getattr(rule, key, None) is not None
        }
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("file"):
            kind = "file"
        conditions = tuple(
            Condition(other, settings_type.model_fields[other].title or other, wanted)
            for other, wanted in settings_type.conditions_of(name).items()
        )
        found.append(
            SettingSpec(
                name=name,
                label=field.title or name,
                help=field.description or "",
                symbol=str(extra.get("symbol", "")),
                unit=str(extra.get("unit", "")),
                kind=kind,
                default=field.get_default(),
                minimum=bounds.get("ge", bounds.get("gt")),
                maximum=bounds.get("le"),
                choices=choices,
                optional=optional,
                live=bool(extra.get("live", False)),
                advanced=bool(extra.get("advanced", False)),
                conditions=conditions,
            )
        )
    return tuple(found)


def with_live(settings: S, sent: S | None) -> S:
    """``settings`` with the live values of ``sent``; everything else stays as the run began."""
    if sent is None:
        return settings
    live = {spec.name: getattr(sent, spec.name) for spec in specs(type(settings)) if spec.live}
    return settings.model_copy(update=live)


def make(settings_type: type[S], values: dict[str, Any]) -> S:
    """Build settings from plain values; one clear sentence where a value does not fit.

    Raises :class:`SettingError` naming the setting, what was wanted and what came.
    """
    known = {spec.name: spec for spec in specs(settings_type)}
    try:
        return settings_type.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if name not in known:
            if name:
                raise SettingError(
                    f"'{plain(name, 60)}' is not a setting here; known are {', '.join(sorted(known))}."
                ) from None
            reason = first.get("ctx", {}).get("error", first["msg"])
            raise SettingError(f"The settings contradict each other: {reason}; change one of them.") from None
        spec = known[name]
        unit = f" {spec.unit}" if spec.unit else ""
        above = " (exclusive)" if first["type"] == "greater_than" else ""
        given = repr(first["input"])
        given = given if len(given) <= 60 else given[:60] + "…"
        wanted = first["msg"] if first["type"] == WANTED else spec.range_text
        raise SettingError(
            f"{spec.label} must be {wanted}{unit}{above}, but {given} was given; "
            f"change --{name.replace('_', '-')} or the field of that name."
        ) from None


class Named(Protocol):
    """A record with the name by which it is chosen."""

    @property
    def name(self) -> str: ...


R = TypeVar("R", bound=Named, covariant=True)


class Registry(tuple[R, ...]):
    """Records in the order in which they are offered; ``what`` says in a message what they are, such as "solver"."""

    what: str

    def __new__(cls, what: str, records: Iterable[R]) -> Self:
        made = super().__new__(cls, records)
        made.what = what
        return made

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(record.name for record in self)

    @property
    def listed(self) -> str:
        """The names in a sentence or a help text."""
        return ", ".join(self.names)

    def find(self, name: str) -> R:
        """The record of that name; raises :class:`SettingError` for others."""
        for record in self:
            if record.name == name:
                return record
        raise SettingError(
            f"The {self.what} must be one of {self.listed}, but {name!r} was given; pick one of them."
        )
