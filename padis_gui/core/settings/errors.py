"""The errors that a user can cause and can mend.

Every message is one sentence in three parts: what was wanted, what came, what to do.
Anything that is not a :class:`PadisError` is a defect of the program.
"""

from typing import Literal

from padis_gui.core.settings.untrusted import plain

_LONGEST = 1200  # characters of a message
# What would help, where the program can do it: read less of the image, replace what is no finite number, write to another
# place, follow the links of a file, install a newer version of the program
Remedy = Literal["", "smaller", "replace", "elsewhere", "links", "newer"]


class PadisError(Exception):
    """Base of all errors with a message for the user; ``remedy`` is what a window can offer with it."""

    def __init__(self, message: str = "", *, remedy: Remedy = "") -> None:
        # names and values in it may be a stranger's
        super().__init__(plain(" ".join(message.split()), _LONGEST))
        self.remedy: Remedy = remedy


class InputError(PadisError):
    """A file or an array cannot be used as an image or a measurement."""


class CheckpointError(PadisError):
    """A file is not a prior that this program reads."""


class TrainingSizeError(CheckpointError):
    """A published snapshot does not say how large its training images were, or was given what cannot be.

    ``padded`` is the side of its zero-padded images in px: the training images fit into it.
    """

    def __init__(self, message: str, padded: int) -> None:
        super().__init__(message)
        self.padded = padded


class SettingError(PadisError):
    """A setting lies outside its range, or two settings contradict each other."""


class DivergenceError(PadisError):
    """A solver left the range in which its iterates mean anything."""


class Interrupted(Exception):  # noqa: N818 - a control signal, not a fault
    """Raised at a patch-batch boundary when the run was asked to stop."""
