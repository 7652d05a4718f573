"""The cards of the bundled priors: what each was trained on, for whom it is, what it gives; and the user's own priors."""

import tomllib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from padis_gui.core.runs.presets import resource
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import user_files


class PriorCard(BaseModel):
    """A bundled prior in words: ``summary`` in a line, whom it ``suits`` and whom not, data, licence, what was measured.

    One across ``slices`` is for volumes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    summary: str
    suits: str
    unsuited: str
    trained_on: str
    licence: str
    slices: int = 1
    measured: tuple[str, ...] = ()

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What it says, as pairs of a heading and a text."""
        return [
            ("For", self.suits), ("Not for", self.unsuited), ("Trained on", self.trained_on),
            *(("Measured", text) for text in self.measured), ("Data", self.licence),
        ]  # fmt: skip


@cache
def cards() -> dict[str, PriorCard]:
    """The cards by the name of the prior.

    Raises :class:`~padis_gui.core.settings.errors.InputError` where their file is gone.
    """
    text = resource("priors/cards.toml").read_text(encoding="utf-8")
    return {name: PriorCard.model_validate(card) for name, card in tomllib.loads(text).items()}


def bundled_priors() -> dict[Path, PriorCard]:
    """The bundled priors of single images that are there, and their cards."""
    return {path: card for path, card in _bundled() if card.slices == 1}


def bundled_across() -> dict[Path, PriorCard]:
    """The bundled priors across slices that are there, and their cards."""
    return {path: card for path, card in _bundled() if card.slices > 1}


def _bundled() -> Iterator[tuple[Path, PriorCard]]:
    for name, card in cards().items():
        with suppress(InputError):
            yield resource(f"priors/{name}.safetensors"), card


def card_of(path: Path) -> PriorCard | None:
    """The card of a bundled prior's file; None for every other file."""
    path = Path(path).resolve()
    return next((card for file, card in _bundled() if file.resolve() == path), None)


def priors_folder() -> Path:
    """Where the user's own priors lie; it need not exist."""
    return user_files() / "priors"


def own_priors() -> tuple[Path, ...]:
    """The user's own priors, by name; none where their folder cannot be read."""
    try:
        return tuple(sorted(_priors_in(priors_folder())))
    except OSError:
        return ()


def _priors_in(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.iterdir() if path.suffix == ".safetensors" and path.is_file())
