"""How results are written: settings of the window's export, of its memory, and of the command line."""

from typing import Literal

from padis_gui.core.settings._j_declarations__core_settings import Settings, setting

What = Literal["result", "iterates", "animation", "curves", "report"]
Values = Literal["float32", "int16", "uint16", "uint8"]
SUFFIXES: dict[What, tuple[str, ...]] = {
    "result": (".tif", ".tiff"), "iterates": (".tif", ".tiff"), "animation": (".gif", ".mp4"), "curves": (".csv",),
    "report": (".html",),
}  # fmt: skip
_TIFF = {"what": ("result", "iterates")}
_PICTURES = {"what": ("iterates", "animation")}
_SCALED = _TIFF | {"values": ("uint16", "uint8")}


class ExportSettings(Settings):
    """What is written of a run, and in which form."""

    what: What = setting(
        "result", label="Export",
        help="result: the image, and what is known of its samples, as TIFF; iterates: every kept iterate as a page of a "
        "TIFF; animation: the iterates to look at; curves: their numbers as CSV; report: one HTML page with everything",
    )  # fmt: skip
    picture: Literal["estimate", "denoised", "state"] = setting(
        "estimate", label="Picture",
        help="estimate: what the run would give at that step; denoised: what the prior made of the noisy image; state: "
        "the noisy image itself",
        when=_PICTURES,
    )  # fmt: skip
    tiff: Literal["ImageJ", "OME"] = setting(
        "ImageJ", label="TIFF",
        help="ImageJ: spacing, unit, labels and calibration as ImageJ and Fiji read them; OME: OME-XML for Bio-Formats, "
        "QuPath, napari and OMERO, also above 4 GB. Both carry the recipe",
        when=_TIFF,
    )  # fmt: skip
    values: Values = setting(
        "float32", label="Values",
        help="float32: exactly the result; int16: whole numbers in the image's unit, made for HU; uint16, uint8: a "
        "linear mapping that the file states, in the recipe and as ImageJ's calibration",
        when=_TIFF,
    )  # fmt: skip
    map_low: float | None = setting(
        None, label="Becomes 0",
        help="The value that 0 stands for; automatic is the lowest one, so that nothing is clipped", when=_SCALED,
    )  # fmt: skip
    map_high: float | None = setting(
        None, label="Becomes the largest",
        help="The value that 255 or 65535 stands for; automatic is the highest one, so that nothing is clipped",
        when=_SCALED,
    )  # fmt: skip
    animation: Literal["GIF", "MP4"] = setting(
        "GIF", label="Animation",
        help="GIF is always there; MP4 is smaller and smoother, and needs the program ffmpeg on this machine",
        when={"what": "animation"},
    )  # fmt: skip
    frame_ms: int = setting(
        80, ge=20, le=5000, label="Each iterate", unit="ms", help="How long each iterate is seen",
        when={"what": "animation"},
    )  # fmt: skip
    sidecar: bool = setting(
        False, label="JSON beside it",
        help="Also write the recipe, the metrics and the hash of the result as a JSON file of the same name; it repeats "
        "the run as well as the TIFF does",
    )  # fmt: skip

    @property
    def suffix(self) -> str:
        """The ending of the file, such as ".tif"."""
        return f".{self.animation.lower()}" if self.what == "animation" else SUFFIXES[self.what][0]
