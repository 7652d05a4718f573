"""`padis-gui repeat FILE.tif`: what made an exported file once more (a volume by slices), and whether it gives the same."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.outputs import check_is_tiff

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from padis_gui.core.exports.about import Export
    from padis_gui.core.runs.engine import Result
    from padis_gui.core.runs.locate import Located
    from padis_gui.core.runs.recipe import Recipe


def repeat_volume(
    options: argparse.Namespace, export: "Export", located: "Located", device: "torch.device"
) -> int:
    """Make the volume again, in ``--out`` or a folder of its own; returns 0 for the same bits and 1 for others."""
    if options.out is not None:
        return _repeat_volume(options, export, located, device, options.out)
    with tempfile.TemporaryDirectory(prefix="padis-gui-repeat-") as folder:
        return _repeat_volume(options, export, located, device, Path(folder) / "volume.tif")


def _repeat_volume(
    options: argparse.Namespace, export: "Export", located: "Located", device: "torch.device", out: Path
) -> int:
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.runs.differences import differences
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
    say(f"{options.out or 'The result'}: {words} ({len(about.pages)} slices, {done.seconds:.1f} s)")
    return 0 if same else 1


def _compared(name: str, first: Path, again: Path, unit: str, other: tuple[str, ...]) -> tuple[bool, str]:
    """Slice by slice, so that the memory taken does not depend on their number."""
    import numpy as np

    from padis_gui.core.files.formats.open import open_pages
    from padis_gui.core.runs.differences import compared

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


_HELP = """\
Run what made an exported TIFF once more, from the recipe that it carries (or from the JSON beside it): the image, the
prior, every setting, the seeds, and the changes that were made while it ran. Then compare: on the same machine with
the same versions the result is the same bit for bit; where it is not, the largest difference is told and what was
different in the making.

Files are known by what they hold. One that is no longer where it was is looked for beside FILE and among the bundled
ones. The exit code is 0 where the result is the same, and 1 where it is not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description, parser.formatter_class = _HELP, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, metavar="FILE", help="an exported TIFF, or the JSON beside one")
    parser.add_argument(
        "--out", type=Path, default=None, metavar="NEW.tif", help="write the new result here (float32)"
    )
    parser.add_argument(
        "--data", type=Path, default=None, metavar="PATH", help="use this image, whatever it holds"
    )
    parser.add_argument(
        "--prior", type=Path, default=None, metavar="PATH", help="use this prior, whatever it holds"
    )
    parser.add_argument(
        "--device", default=None, metavar="D", help="auto, cpu, cuda or cuda:N (default: that of the run)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run nothing: say whether all is there, and what is different here",
    )


def run(options: argparse.Namespace) -> int:
    """Find the files, run, compare; returns 0 for the same bits and 1 for others."""
    from padis_gui.core.exports.about import read_export
    from padis_gui.core.runs.differences import differences
    from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
    from padis_gui.core.runs.locate import locate

    export = read_export(options.file)
    check_run_outputs([options.file, export.file], [options.out])
    if options.out is not None:
        check_is_tiff(options.out)
    located = locate(export.recipe, [options.file.resolve().parent], data=options.data, prior=options.prior)
    check_run_outputs(inputs_of(located.recipe), [options.out])
    for remark in located.remarks:
        say(remark)
    if located.missing:
        options_for = {"data": " or name it with --data", "prior": " or name it with --prior", "file": ""}
        sentences = (
            m.sentence.removesuffix(".") + (options_for[m.what] if m.file else " with --data") + "."
            for m in located.missing
        )
        raise InputError(" ".join(sentences))
    device = _device(options.device, export.recipe)
    if options.check:
        here = _here(located.recipe, device)
        other = differences(export.recipe, here)
        say(f"{options.file}: {_words(export)}; everything that it needs is there.")
        say(f"Different here: {', '.join(other)}." if other else "Nothing is different here.")
        return 0
    if export.about.kind == "volume" and export.recipe.stack is None:
        return repeat_volume(options, export, located, device)
    return _repeat(options, export, located, device)


def _device(wanted: str | None, recipe: "Recipe") -> "torch.device":
    """The device asked for, that of the run where it is here, or whatever is."""
    from padis_gui.core.settings.errors import PadisError
    from padis_gui.core.settings.machine import pick_device

    if wanted is not None:
        return pick_device(wanted)
    try:
        return pick_device(recipe.device)
    except PadisError:
        return pick_device("auto")


def _here(recipe: "Recipe", device: "torch.device") -> "Recipe":
    """The recipe as this machine would write it."""
    from padis_gui.core.runs.recipe import versions

    return recipe.model_copy(update={"device": str(device), "versions": versions()})


def _words(export: "Export") -> str:
    """What the run was, in a line."""
    recipe, about = export.recipe, export.about
    seeds = about.seeds or recipe.sample_seeds
    seed = f"{len(seeds)} samples" if seeds else f"seed {recipe.seed}"
    changed = f", {len(recipe.changes)} live changes" if recipe.changes else ""
    ended = f", finished at step {recipe.stop_after}" if recipe.stop_after is not None else ""
    slices = f", {len(about.pages)} slices" if about.pages else ""
    return f"{recipe.physics}, {recipe.solver}, {seed}{slices}{changed}{ended}"


def _repeat(options: argparse.Namespace, export: "Export", located: "Located", device: "torch.device") -> int:
    from padis_gui.cli.outputs import kept
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.exports.about import About
    from padis_gui.core.exports.tiff import SAMPLE_LABELS, write_tiff
    from padis_gui.core.runs.differences import differences
    from padis_gui.core.runs.repeat import Repeater
    from padis_gui.core.solvers.iterate import Iterate
    from padis_gui.core.solvers.registry import find_solver

    seeds = export.about.seeds
    recipes = [located.recipe.model_copy(update={"seed": seed}) for seed in seeds] or [located.recipe]
    repeater, runs = Repeater(device), len(recipes) * max(1, len(located.recipe.sample_seeds))
    ended = 0

    with progress_bar(find_solver(export.recipe.solver).label) as bar:

        def watch(iterate: Iterate) -> None:
            nonlocal ended
            bar(ended * iterate.total + iterate.step, runs * iterate.total, f"σ {iterate.sigma:.3g}")
            ended += iterate.step == iterate.total

        done = [repeater.run(recipe, watch) for recipe in recipes]
    first = done[0]
    pages = [run.pixels for run in done] if seeds else first.pages
    if first.image.is_volume:
        pages = [first.pixels[z : z + 1] for z in range(len(first.pixels))]
    same, verdict = _verdict(options.file.name, export, pages, differences(export.recipe, first.recipe))
    out = options.out
    if options.out is not None:
        labels = tuple(f"seed {seed}" for seed in seeds) or SAMPLE_LABELS[: len(pages)] * (len(pages) > 1)
        kind = {"kind": "draws" if seeds else "result"}
        if first.image.is_volume:
            kind, labels = {}, tuple(f"page {page}" for page in first.image.slices)
        about = About.of(first, options.out.stem, seeds=seeds, **kind)
        _, out = kept(
            options.out,
            lambda to: write_tiff(
                to, pages if labels else pages[0], first.recipe, first.metrics, spacing=first.spacing,
                labels=labels, about=about,
            ),
        )  # fmt: skip
    say(f"{out or 'The result'}: {verdict} ({_words(export)}, {_took(done)})")
    return 2 if out != options.out else 0 if same else 1


def _took(done: "list[Result]") -> str:
    return f"{sum(run.seconds for run in done):.1f} s"


def _verdict(
    name: str, export: "Export", pages: "list[NDArray[np.float32]]", other: tuple[str, ...]
) -> tuple[bool, str]:
    """Compare with what the file holds: by the hash of what was exported, and by the values where they are there."""
    import numpy as np

    from padis_gui.core.exports.about import read_pages
    from padis_gui.core.runs.differences import compared
    from padis_gui.core.settings.files import pixels_sha256

    about = export.about
    wanted = np.stack(pages) if about.kind == "draws" else pages[0]
    if about.kind == "volume":
        wanted = np.concatenate(pages)
    if about.sha256 and about.sha256 == pixels_sha256(wanted) and about.integer is not None:
        return True, f"identical to what {name} was made of, bit for bit"
    holds_result = about.kind in ("result", "draws", "volume") or (
        about.kind == "iterates" and about.picture == "estimate"
    )
    if not holds_result and not about.sha256:
        return True, f"repeated; {name} holds no result to compare with"
    if not holds_result or export.file is None:
        if about.sha256 == pixels_sha256(wanted):
            return True, f"identical to {name}, bit for bit"
        reason = f"; different are {', '.join(other)}" if other else ""
        return False, f"differs from {name}, which does not hold the pixels to say by how much{reason}"
    values, stored = read_pages(export)
    if about.kind == "iterates":
        values, stored, pages = values[-1:], stored[-1:], pages[:1]
    if about.integer is not None:
        again = [about.integer.stored(page)[0] for page in pages]
        return compared(
            f"{name}, in steps of {about.integer.step:.3g} {about.unit}", stored, again, other=other
        )
    held = np.stack(values) if about.kind == "draws" else values[0]
    if about.kind == "volume":
        held = np.concatenate(values)
    if about.sha256 and pixels_sha256(held) != about.sha256:
        name = f"{name} (which was changed after its export)"
    return compared(name, values, pages, unit=about.unit, other=other)
