"""`padis-gui train DATA… --preview FILE.png`: what the network would see, and what cannot be used."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from padis_gui.core.settings._j_files__core_atomic import check_outputs
from padis_gui.core.settings.errors import InputError
from padis_gui.core.training._j_settings__core_training_data_settings import DataSettings

_SHOWN, _COLUMNS, _CELL = 48, 8, 160


def preview(sources: Sequence[Path], settings: DataSettings, path: Path) -> int:
    """Read the data as a training would, write a contact sheet of some, and say what they are."""
    from PIL import Image as Pillow

    from padis_gui.cli._j_progress__cli_progress import progress_bar
    from padis_gui.core.training._j_dataset__core_training_dataset import load_training_data
    from padis_gui.core.training._j_looks__core_training_sheet import contact_sheet

    if path.suffix.lower() != ".png":
        raise InputError(f"The preview is a PNG, but {path.name} does not end in .png; rename it.")
    check_outputs(sources, [path])
    with (
        progress_bar("reading") as bar,
        _unheard("padis_gui.core.training._j_dataset__core_training_dataset"),
    ):
        data = load_training_data(sources, settings, progress=lambda done, total: bar(done, total, ""))
    shown = data.preview(_SHOWN)
    pixels = contact_sheet(list(shown), _COLUMNS, _CELL)
    try:
        Pillow.fromarray(pixels).save(path, "PNG")
    except OSError as error:
        raise InputError(
            f"The preview cannot be written to {path} ({error}); choose another place."
        ) from None
    kept, aside = data.split(settings.validation)
    low, high = data.window
    print(
        f"{path}: {len(shown)} of {len(data.images)} images of {len(data.subjects)} subjects, "
        f"{len(kept.images)} to train on and {0 if aside is None else len(aside.images)} to validate on; "
        f"{data.image_size} px, {data.channels} channels; black is {low:g} and white {high:g} {data.unit}".rstrip()
    )
    if data.skipped:
        print(f"{len(data.skipped)} skipped:")
    for item in data.skipped:
        print(f"  {item.name}: {item.reason}")
    return 0


@contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Without what a logger says, which will be printed in another way."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
