"""What verbs write, whole or not at all: reports, exports, and the iterates on the way; checked before a long run."""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from padis_gui.cli.options import add_settings, given_settings
from padis_gui.cli.terminal import say
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.outputs import check_is_tiff, elsewhere, is_ome_zarr

if TYPE_CHECKING:
    from padis_gui.core.exports.about import About
    from padis_gui.core.exports.content import IteratePicture, RunContent
    from padis_gui.core.runs.engine import Result, Run
    from padis_gui.core.runs.opened import Prepared
    from padis_gui.core.solvers.iterate import Iterate


def write_text(path: Path, text: str) -> None:
    """Write a report or a table; :class:`InputError` where that fails."""
    from padis_gui.core.settings.files import failures_said, write_atomically

    with failures_said("The report", path):
        write_atomically(path, text.encode())


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


T = TypeVar("T")


def kept(path: Path, write: Callable[[Path], T]) -> tuple[T, Path]:
    """Write what was computed to ``path``; where that fails, beside it or elsewhere, which is said. Returns what
    ``write`` does, and where it was written.

    Raises :class:`InputError` where no place takes it, or where another place would not help.
    """
    try:
        return write(path), path
    except InputError as error:
        if error.remedy != "elsewhere":
            raise
        for other in elsewhere(path):
            try:
                done = write(other)
            except InputError:
                continue
            say(f"padis-gui: {error} It is kept in {other}.", error=True)
            return done, other
        raise


_BY_HAND = ("what", "animation", "tiff", "sidecar")
_MOST_PICTURES = 200  # of more iterates every second one is kept, or every third, …, and always the last


def add_exports(parser: argparse.ArgumentParser) -> None:
    """The options of what is written, and how."""
    group = parser.add_argument_group("what is written")
    group.add_argument("--ome", action="store_true", help="TIFF as OME-TIFF instead of ImageJ's convention")
    add_settings(group, ExportSettings, skip=_BY_HAND)
    group.add_argument(
        "--sidecar", action="store_true", dest="beside",
        help="also OUT.json with the recipe, the metrics and the hash of the result; repeat takes it as well",
    )  # fmt: skip
    group.add_argument(
        "--iterates", type=Path, default=None, metavar="ITERATES.tif",
        help=f"the iterates on the way as pages of a TIFF, evenly thinned to {_MOST_PICTURES} where there are more",
    )  # fmt: skip
    group.add_argument(
        "--animation", type=Path, default=None, dest="movie", metavar="ITERATES.gif",
        help="the same iterates to look at, as GIF or, with the program ffmpeg, as .mp4",
    )  # fmt: skip
    group.add_argument(
        "--html", type=Path, default=None, metavar="REPORT.html",
        help="one page with pictures, curves, settings and the recipe; it needs nothing from elsewhere",
    )  # fmt: skip
    group.add_argument(
        "--curves", type=Path, default=None, metavar="CURVES.csv", help="the numbers of every iterate"
    )
    group.add_argument(
        "--nifti", type=Path, default=None, metavar="OUT.nii.gz",
        help="the result as NIfTI too, in float32 with spacing and recipe",
    )  # fmt: skip
    group.add_argument(
        "--dicom", type=Path, default=None, metavar="OUT.dcm",
        help="the result as DICOM too: a derived CT image in whole HU, else a secondary capture of 16 bits",
    )  # fmt: skip
    group.add_argument(
        "--ome-zarr", type=Path, default=None, metavar="OUT.ome.zarr",
        help="the result as a folder of OME-Zarr too, in float32 and several resolutions",
    )  # fmt: skip
    group.add_argument(
        "--data-exchange", type=Path, default=None, metavar="SCAN.h5",
        help="what the scan measured, simulated or corrected, with its geometry, as HDF5 in the layout Data Exchange",
    )  # fmt: skip


def add_volume_exports(parser: argparse.ArgumentParser) -> None:
    """The options of what a volume is written as beside its TIFF."""
    group = parser.add_argument_group("what is written beside the TIFF, from it and as it is")
    group.add_argument(
        "--nifti", type=Path, default=None, metavar="OUT.nii.gz", help="the volume as NIfTI, in float32"
    )
    group.add_argument(
        "--dicom",
        type=Path,
        default=None,
        metavar="OUT.dcm",
        help="its slices as DICOM files in a folder OUT",
    )
    group.add_argument(
        "--ome-zarr", type=Path, default=None, metavar="OUT.ome.zarr",
        help="the volume as a folder of OME-Zarr, in float32 and several resolutions",
    )  # fmt: skip


def volume_exports(options: argparse.Namespace) -> dict[str, Path]:
    """What a volume is written as beside its TIFF, by the names of the exports."""
    wanted = {"nifti": options.nifti, "dicom": options.dicom, "ome-zarr": options.ome_zarr}
    return {kind: path for kind, path in wanted.items() if path is not None}


def write_volume_exports(options: argparse.Namespace, out: Path) -> bool:
    """Write them from the finished TIFF; returns whether something could not be, or lies elsewhere. It is said."""
    from padis_gui.core.exports.converted import convert

    missing = False
    for kind, path in volume_exports(options).items():
        try:
            said, written = kept(path, partial(convert, out, kind))
            if not options.events:
                say(f"{written}: {said}")
        except InputError as error:  # it must not cost the others
            say(f"padis-gui: {error}", error=True)
            written = None
        missing |= written != path
    return missing


def save_out(to: Path, result: "Result", settings: ExportSettings) -> "About":
    """Write a result into the kind of file that its name asks for; returns what it says of itself."""
    from padis_gui.core.exports.about import About
    from padis_gui.core.exports.content import RunContent
    from padis_gui.core.exports.registry import write_export
    from padis_gui.core.exports.tiff import save_result

    about = About.of(result, to.name.removesuffix(".ome.zarr") if is_ome_zarr(to) else to.stem)
    if not is_ome_zarr(to):
        return save_result(to, result, about, settings)
    content = RunContent(name=about.name, title=about.name, result=result, about=about)
    write_export(content, to, settings.model_copy(update={"what": "ome-zarr"}))
    return about


def chosen_export(options: argparse.Namespace) -> ExportSettings:
    """The settings of the export, as given; raises :class:`InputError` for what could not be written at the end."""
    given = given_settings(options, ExportSettings)
    given = {name: value for name, value in given.items() if name not in _BY_HAND}
    animation = "GIF"
    if options.movie is not None:
        animation = options.movie.suffix[1:].upper()
        if animation not in ("GIF", "MP4"):
            raise InputError(
                f"An animation is a GIF or an MP4, but {options.movie.name} ends in neither .gif nor .mp4; rename it."
            )
    if options.iterates is not None:
        check_is_tiff(options.iterates)
    form = {"tiff": "OME" if options.ome else "ImageJ", "sidecar": options.beside, "animation": animation}
    settings = make(ExportSettings, given | form)
    if animation == "MP4":
        from padis_gui.core.exports.animation import check_encoder

        check_encoder(settings)
    return settings


def exported_files(options: argparse.Namespace) -> list[Path | None]:
    """What is written beside the result."""
    return [
        options.iterates, options.movie, options.html, options.curves, options.nifti, options.dicom, options.ome_zarr,
        options.data_exchange,
    ]  # fmt: skip


def _export(
    write: Callable[["RunContent", Path, ExportSettings], str],
    run: "RunContent",
    settings: ExportSettings,
    path: Path,
) -> str:
    return write(run, path, settings)


class Recorder:
    """Keeps what is wanted of a run's iterates: their numbers, and pictures in the image's unit."""

    def __init__(self, run: "Run", settings: ExportSettings, options: argparse.Namespace) -> None:
        self._run, self._settings, self._options = run, settings, options
        self._pictured = options.iterates is not None or options.movie is not None
        self._wanted = any(path is not None for path in exported_files(options))
        self._last = time.perf_counter()
        self._pictures: list[IteratePicture] = []
        self.columns: dict[str, list[float]] = {
            name: [] for name in ("step", "sigma", "psnr", "ssim", "residual", "seconds")
        }

    @property
    def prepared(self) -> "Prepared":
        """What the run has measured; it is there once the run has begun."""
        assert self._run.prepared is not None, "there is an iterate"
        return self._run.prepared

    def record(self, iterate: "Iterate") -> None:
        """Take what is wanted of an iterate."""
        if not self._wanted:
            return
        from padis_gui.core.images.metrics import psnr, ssim

        took, truth = time.perf_counter() - self._last, self.prepared.problem.truth
        values = {
            "step": iterate.step, "sigma": iterate.sigma, "residual": iterate.residual, "seconds": took,
            "psnr": math.nan if truth is None else psnr(iterate.estimate, truth),
            "ssim": math.nan if truth is None else ssim(iterate.estimate, truth),
        }  # fmt: skip
        for name, value in values.items():
            self.columns[name].append(value)
        every = -(-iterate.total // _MOST_PICTURES)
        if self._pictured and (iterate.step % every == 0 or iterate.step == iterate.total):
            self._take_picture(iterate, values["psnr"])
        self._last = time.perf_counter()

    def _take_picture(self, iterate: "Iterate", psnr: float) -> None:
        from padis_gui.core.exports.content import IteratePicture
        from padis_gui.core.prior.partition import Partition

        wanted = {"estimate": iterate.estimate, "denoised": iterate.denoised, "state": iterate.x}
        pixels = self.prepared.image.from_unit(wanted[self._settings.picture])
        self._pictures.append(
            IteratePicture(
                step=iterate.step, total=iterate.total, sigma=iterate.sigma, psnr=psnr, pixels=pixels,
                partition=iterate.partition if isinstance(iterate.partition, Partition) else None,
            )
        )  # fmt: skip

    def write(self, result: "Result", about: "About") -> bool:
        """Write what is wanted beside the result; returns whether something could not be, or lies elsewhere. It is said."""
        if not self._wanted:
            return False
        from padis_gui.core.exports.registry import EXPORTS

        options, content = self._options, self._content(result, about)
        settings = self._settings.model_copy(update={"sidecar": False})  # it goes with the result
        missing = False
        for name, path in (
            ("curves", options.curves), ("iterates", options.iterates), ("animation", options.movie),
            ("report", options.html), ("nifti", options.nifti), ("dicom", options.dicom),
            ("ome-zarr", options.ome_zarr), ("data-exchange", options.data_exchange),
        ):  # fmt: skip
            if path is None:
                continue
            try:
                _, written = kept(path, partial(_export, EXPORTS.find(name).write, content, settings))
            except InputError as error:  # it must not cost the others
                say(f"padis-gui: {error}", error=True)
                written = None
            missing |= written != path
        return missing

    def _content(self, result: "Result", about: "About") -> "RunContent":
        from padis_gui.core.exports.content import MeasuredScan, RunContent
        from padis_gui.core.physics.registry import find_physics
        from padis_gui.core.settings.machine import describe_device

        prepared, title = self.prepared, self._options.out.stem
        truth = prepared.problem.truth
        imageless = find_physics(result.recipe.physics).imageless
        return RunContent(
            name=title, title=title, result=result, about=about, pictures=self._pictures, curves=self.columns,
            truth=None if truth is None else prepared.image.from_unit(truth),
            baseline=None if imageless else prepared.image.from_unit(prepared.baseline),
            measured=MeasuredScan.of(prepared), device=describe_device(prepared.problem.device),
        )  # fmt: skip
