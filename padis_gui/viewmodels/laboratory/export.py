"""Writing what the laboratory shows: float32 TIFF with the recipe of the run, and what the pages are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.exports.tiff import write_tiff
from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
from padis_gui.core.runs.recipe import Recipe, make_recipe
from padis_gui.viewmodels.pictures.frames import channels_first
from padis_gui.viewmodels.session.session import Session


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureStack:
    """Pictures (rows, columns) or (rows, columns, 3) of one size, with a label each.

    ``metrics`` are numbers about them, ``details`` what else there is to say, as JSON can hold it. ``recipe`` is that of
    their run; the shown run's where it is None.
    """

    name: str
    pictures: Mapping[str, Pixels]
    metrics: Mapping[str, float]
    details: Mapping[str, Any]
    recipe: Recipe | None = None


def export(session: Session, path: Path, pages: PictureStack | None) -> None:
    """Write the pages in the I/O thread, and say so."""
    opened, method = session.opened_slice(), session.method.now
    if pages is None or not pages.pictures or opened is None:
        session.message.emit("warning", "There is nothing to export yet; run or inspect something first.", "")
        return
    known, image = pages.recipe or shown_recipe(session), session.data.image
    seed = session.method.seed or 0
    spacing = None if image is None else image.spacing

    def write(to: Path) -> str:
        recipe = known or make_recipe(opened, method, seed)  # of what was looked at without a run
        check_run_outputs(inputs_of(recipe), [to])
        write_tiff(
            to, stack(list(pages.pictures.values())), recipe, dict(pages.metrics), spacing=spacing,
            labels=tuple(pages.pictures), details=dict(pages.details) | {"kind": pages.name},
        )  # fmt: skip
        return f"Exported {to.name}: {pages.name} as float32, with the recipe of its run."

    session.spawn(session.write(path, write))


def shown_recipe(session: Session) -> Recipe | None:
    """The recipe of the run that is shown; None where it is not known, or there was none."""
    if session.shown.record is not None:
        return session.shown.record.recipe
    return session.run.recipe if session.shown.history is session.run.history else None


def stack(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures as pages (pages, C, rows, columns); grey ones get the channels of coloured ones."""
    pages = [channels_first(picture) for picture in pictures]
    channels = max(page.shape[0] for page in pages)
    return np.stack([np.broadcast_to(page, (channels, *page.shape[1:])) for page in pages])
