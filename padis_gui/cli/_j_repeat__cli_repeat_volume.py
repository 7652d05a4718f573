"""`padis-gui repeat VOLUME.tif`: all slices once more, compared page by page."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.core.settings.errors import InputError

if TYPE_CHECKING:
    import torch

    from padis_gui.core.exports._j_about__core_data_stored import Export
    from padis_gui.core.runs._j_locate__core_locate import Located


def repeat_volume(
    options: argparse.Namespace, export: "Export", located: "Located", device: "torch.device"
) -> int:
    """Make the volume again, in ``--out`` or a folder of its own; returns 0 for the same bits and 1 for others."""
    if options.out is not None:
        return _repeat(options, export, located, device, options.out)
    with tempfile.TemporaryDirectory(prefix="padis-gui-repeat-") as folder:
        return _repeat(options, export, located, device, Path(folder) / "volume.tif")


def _repeat(
    options: argparse.Namespace, export: "Export", located: "Located", device: "torch.device", out: Path
) -> int:
    from padis_gui.cli._j_progress__cli_progress import progress_bar
    from padis_gui.core.runs._j_locate__core_differences import differences
    from padis_gui.core.volumes.request import VolumeRequest
    from padis_gui.core.volumes.run import SliceDone, SliceFailed, VolumeDone, reconstruct_volume

    about, file = export.about, export.file
    if file is None:
        raise InputError(
            f"The volume beside {export.path.name} was wanted to compare with, but it is gone; put it back."
        )
    template = located.recipe.model_copy(update={"device": str(device)})
    request = VolumeRequest(
        template=template, pages=about.pages, z_smoothing=about.z_smoothing, slice_spacing=about.slice_spacing, out=out
    )  # fmt: skip
    done = None
    with progress_bar("Volume") as bar:
        for event in reconstruct_volume(request, restart=True):
            if isinstance(event, SliceDone):
                bar(event.done, event.total, f"page {event.page}")
            elif isinstance(event, SliceFailed):
                raise InputError(event.trouble)
            elif isinstance(event, VolumeDone):
                done = event
    assert done is not None, "it ends with a volume or a failure"
    same, words = _compared(options.file.name, file, out, about.unit, differences(export.recipe, template))
    print(f"{options.out or 'The result'}: {words} ({len(about.pages)} slices, {done.seconds:.1f} s)")
    return 0 if same else 1


def _compared(name: str, first: Path, again: Path, unit: str, other: tuple[str, ...]) -> tuple[bool, str]:
    """Slice by slice, so that the memory taken does not depend on their number."""
    import numpy as np

    from padis_gui.core.files.formats.open import open_pages
    from padis_gui.core.runs._j_locate__core_differences import compared

    worst: tuple[float, bool, str] | None = None
    with open_pages(first) as one, open_pages(again) as two:
        if one.count != two.count:
            return False, f"differs from {name} in its number of slices"
        for page in range(one.count):
            a, b = one.read(page).pixels, two.read(page).pixels
            same, words = compared(name, [a], [b], unit=unit, other=other)
            apart = (
                float(np.nanmax(np.abs(a.astype(np.float64) - b))) if not same and a.shape == b.shape else 0.0
            )
            if worst is None or (worst[1], -worst[0]) > (same, -apart):
                worst = apart, same, words
    assert worst is not None, "a volume has slices"
    return worst[1], worst[2]
