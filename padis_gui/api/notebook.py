"""What a notebook shows of images, results and steps: a small picture, and what is known of it."""

from html import escape
from importlib import import_module
from types import ModuleType

from padis_gui.core.exports.report import as_bytes, as_seen, enlarged, png_uri
from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.images.size import binned
from padis_gui.core.settings.errors import InputError

_WIDEST = 512  # px a side: a larger picture is binned


def as_html(pixels: Pixels, image: Image, said: str) -> str:
    """A figure of pixels (C, rows, columns) in the window of ``image``, of a volume the middle slice, with a text below."""
    shown = pixels[len(pixels) // 2][None] if image.is_volume else pixels
    shown = binned(shown, max(1, -(-max(shown.shape[1:]) // _WIDEST)))
    picture = enlarged(as_bytes(as_seen(shown), *image.window))
    return (
        f'<figure style="display: inline-block; margin: 0"><img src="{png_uri(picture)}" alt="{escape(said)}" '
        f'style="max-width: 100%"><figcaption>{escape(said)}</figcaption></figure>'
    )


def display_module() -> ModuleType:
    """IPython's display. Raises :class:`InputError` outside of a notebook."""
    try:
        return import_module("IPython.display")
    except ImportError:
        raise InputError(
            "A notebook was wanted to show steps in, but IPython is not installed here; iterate over the steps, or install "
            "it (pip install ipython)."
        ) from None
