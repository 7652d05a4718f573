"""One lookup for everything that is chosen by its name: solvers, physics, presets, tilings."""

from collections.abc import Iterable
from typing import Protocol, Self, TypeVar

from padis_gui.core.settings.errors import SettingError


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
