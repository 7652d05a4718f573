"""The registry of exports: one record a kind of file that is written of a run, and the settings that follow from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.settings.declarations import Registry, Settings, setting

if TYPE_CHECKING:
    from padis_gui.core.exports.content import RunContent


@dataclass(frozen=True, slots=True)
class FileType:
    """``name`` is what users call such files; of the ``suffixes`` the first is the usual one."""

    name: str
    suffixes: tuple[str, ...]


TIFF = FileType("TIFF", (".tif", ".tiff"))
_IN_TIFF = ("tiff", "values", "map_low", "map_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportKind:
    """``writer`` names what writes it: a module beside this one, and a function there.

    ``help`` stands in the list of choices. ``settings`` are those of :class:`FileSettings` that count for it. Of
    several ``types`` the setting ``animation`` names the one. ``appendix`` tells its file's name from the result's.
    ``note`` says what will be written, before it is, with a sentence on the iterates that are kept.
    """

    name: str
    help: str
    writer: str
    types: tuple[FileType, ...]
    note: Callable[[FileSettings, str], str]
    settings: tuple[str, ...] = ()
    appendix: str = ""

    @property
    def write(self) -> "Callable[[RunContent, Path, FileSettings], str]":
        """Writes it and says in words what was written; raises :class:`~padis_gui.core.settings.errors.InputError` where
        the run has nothing of that kind. It comes with all that a run is made of, which to declare it takes nothing of."""
        module, name = self.writer.split(".")
        found: Callable[[RunContent, Path, FileSettings], str]
        found = getattr(import_module(f"padis_gui.core.exports.{module}"), name)
        return found

    def file_type(self, settings: FileSettings) -> FileType:
        """The kind of file that is written with these settings."""
        return next((each for each in self.types if each.name == settings.animation), self.types[0])


def _note_of_animation(settings: FileSettings, kept: str) -> str:
    from padis_gui.core.exports.animation import note_of_animation

    return note_of_animation(settings, kept)


EXPORTS = Registry("export", (
    ExportKind(
        name="result", help="the image, and what is known of its samples, as TIFF", writer="tiff.export_result",
        types=(TIFF,), settings=_IN_TIFF,
        note=lambda settings, kept: (
            "Exactly the result, neither clipped nor rescaled." if settings.values == "float32"
            else "The mapping, and what it clips, are stated in the file."
        ),
    ),
    ExportKind(
        name="nifti", help="the image or volume as NIfTI", writer="medical.export_nifti",
        types=(FileType("NIfTI", (".nii", ".nii.gz")),),
        note=lambda settings, kept: "Exactly the result, in float32, with spacing and recipe.",
    ),
    ExportKind(
        name="dicom", help="the image, or a folder of a volume's slices, as DICOM", writer="medical.export_dicom",
        types=(FileType("DICOM", (".dcm",)),),
        note=lambda settings, kept: "Derived images with new UIDs: whole HU, else 16 bits with slope and intercept.",
    ),
    ExportKind(
        name="ome-zarr", help="the image or volume as a folder of OME-Zarr", writer="zarr_folder.export_ome_zarr",
        types=(FileType("OME-Zarr", (".ome.zarr",)),),
        note=lambda settings, kept: "Exactly the result, in float32 and several resolutions, with spacing and recipe.",
    ),
    ExportKind(
        name="data-exchange", help="what the scan measured, as HDF5 in the layout Data Exchange",
        writer="exchange.export_exchange", types=(FileType("Data Exchange", (".h5",)),), appendix="_scan",
        note=lambda settings, kept: "The sinogram as simulated, or as corrected, with its geometry.",
    ),
    ExportKind(
        name="iterates", help="every kept iterate as a page of a TIFF", writer="tiff.export_iterates", types=(TIFF,),
        settings=("picture", *_IN_TIFF), note=lambda settings, kept: kept, appendix="_iterates",
    ),
    ExportKind(
        name="animation", help="the iterates to look at", writer="animation.export_animation",
        types=(FileType("GIF", (".gif",)), FileType("MP4", (".mp4",))), settings=("picture", "animation", "frame_ms"),
        note=_note_of_animation, appendix="_animation",
    ),
    ExportKind(
        name="curves", help="their numbers as CSV", writer="report.export_curves", types=(FileType("CSV", (".csv",)),),
        note=lambda settings, kept: "A line for each step, with its units in the heads.", appendix="_curves",
    ),
    ExportKind(
        name="report", help="one HTML page with everything", writer="report.export_report",
        types=(FileType("HTML", (".html",)),),
        note=lambda settings, kept: (
            "One page for any browser, with pictures, curves, settings and the recipe; print it for a PDF."
        ),
    ),
))  # fmt: skip

if TYPE_CHECKING:
    What = str
else:
    What = Literal[EXPORTS.names]  # what can be chosen follows from the registry


class _Choice(Settings):
    what: What = setting(
        "result", label="Export", help="; ".join(f"{kind.name}: {kind.help}" for kind in EXPORTS)
    )


class ExportSettings(FileSettings, _Choice):  # in this order the choice comes first
    """What is written of a run, and in which form."""

    @classmethod
    def conditions_of(cls, name: str) -> Mapping[str, Any]:
        """That what is written has this setting, and what the setting itself asks for."""
        kinds = tuple(kind.name for kind in EXPORTS if name in kind.settings)
        return ({"what": kinds} if kinds else {}) | dict(super().conditions_of(name))

    @property
    def kind(self) -> ExportKind:
        """What is written."""
        return EXPORTS.find(self.what)

    @property
    def file_type(self) -> FileType:
        """The kind of file that it is written into."""
        return self.kind.file_type(self)


def write_export(run: "RunContent", path: Path, settings: ExportSettings) -> str:
    """Write what the settings say, with the recipe as JSON beside it where they want that; returns a sentence about it.

    Raises :class:`~padis_gui.core.settings.errors.PadisError` where it cannot be written, or there is nothing of that
    kind.
    """
    from padis_gui.core.exports.about import check_sidecar, envelope, sidecar_path, write_sidecar
    from padis_gui.core.runs.inputs import check_run_outputs, inputs_of

    sidecar = sidecar_path(path) if settings.sidecar else None
    check_run_outputs(inputs_of(run.result.recipe), [path, sidecar])
    if sidecar is not None:
        check_sidecar(sidecar)
    said = settings.kind.write(run, path, settings)
    # TIFFs write theirs, which knows how their values are stored
    if settings.sidecar and settings.file_type is not TIFF:
        about = run.about.model_copy(update={"kind": "picture"})
        write_sidecar(path, envelope(run.result.recipe, run.result.metrics, about))
    return f"Exported {path.name}: {said}."
