"""What becomes of the files that a prior is trained on: size, colour, window, and whose page is whose."""

from typing import Literal

from pydantic import model_validator

from padis_gui.core.settings._j_declarations__core_settings import Settings, setting


class DataSettings(Settings):
    """Settings of :func:`padis_gui.core.training._j_dataset__core_training_dataset.load_training_data`."""

    image_size: int = setting(
        256, ge=32, le=4096, label="Image size", unit="px", help="Side of the images that the prior learns"
    )
    fit: Literal["crop", "resize", "pad"] = setting(
        "resize",
        label="Other sizes",
        when={"crops": 0},
        help="Images of another size: crop keeps their pixels and takes the middle, resize scales the shorter "
        "side and takes the middle, pad shrinks what is too large and surrounds the image by the lowest value",
    )
    crops: int = setting(
        0,
        ge=0,
        le=10_000,
        label="Crops of each image",
        help="Random squares taken from each large image; 0 takes the whole image, as said above",
    )
    shrink: float = setting(
        1.0,
        ge=1,
        le=64,
        label="Least reduction",
        advanced=True,
        help="Random squares are reduced by at least this factor, which removes the camera's noise and blur",
    )
    colour: Literal["grey", "colour"] = setting(
        "grey",
        label="Colour",
        help="Grey turns colour into luminance; colour repeats grey in all three channels",
    )
    window_low: float | None = setting(
        None,
        label="Window from",
        help="Intensity in the data's own unit that becomes 0; proposed from the data where none is given",
    )
    window_high: float | None = setting(
        None,
        label="Window to",
        help="Intensity in the data's own unit that becomes 1; proposed from the data where none is given",
    )
    dataset: str = setting(
        "",
        label="Data set",
        advanced=True,
        help="Name of the array in an NPZ, MATLAB or HDF5 file; empty takes the only or obvious one",
    )
    subjects: str = setting(
        "",
        label="Subjects",
        file=True,
        help="CSV table with the columns page (or file) and patient, which says whose page is whose; empty takes "
        "the one beside the data, if there is one, else what the files say",
    )
    validation: float = setting(
        0.1,
        ge=0,
        le=0.9,
        label="Validation",
        help="Share of the subjects that is kept aside to measure on; 0 trains on all",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "DataSettings":
        low, high = self.window_low, self.window_high
        if low is not None and high is not None and not low < high:
            raise ValueError("the window's lower end must lie below its upper end")
        return self

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 3 if self.colour == "colour" else 1
