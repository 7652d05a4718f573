"""Which intensities become 0 and 1 where nobody says so: one answer for the whole data set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from padis_gui.core.files.formats.pages import SMALLEST, Page
from padis_gui.core.images._j_image__core_data_image import HU_WINDOW
from padis_gui.core.training._j_sources__core_training_sources import Source, read_pages

Window = tuple[float, float]

_PAGES, _ALIKE = 32, 4  # pages looked at, fewer where they agree on what their kind of file says
_PIXELS = 2**16  # of each
_SHARES = (0.1, 99.9)  # percentiles
_NEAR_ZERO = 0.1
_DEPTHS = tuple(float(2**bits - 1) for bits in (10, 12, 14, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A window, its unit, and whether it follows from the kind of the files (``stated``) or from their pixels."""

    window: Window
    unit: str = ""
    stated: bool = False


def propose_window(sources: Sequence[Source]) -> Proposal | None:
    """The window for all pages of the ``sources``, from a sample of them; None where none can be read.

    Most pages decide. 8-bit pictures are 0 to 255, what is stored as pictures of 16 bits 0 to 65535, CT in
    DICOM is in HU. Otherwise numbers that reach from air's far below zero are taken for HU, floats within 0
    to 1 for what they are, and all others get robust percentiles (0.1 and 99.9) of the whole sample: from 0
    where the lower is near it, and to a detector's full range (2^10 - 1 to 2^16 - 1) where the upper is.
    """
    total = sum(source.count for source in sources)
    numbered = [source.first + page for source in sources for page in range(source.count)]
    spread = np.linspace(0, total - 1, min(total, _PAGES)).round().astype(int) if total else np.zeros(0, int)
    pages: list[Page] = []
    for found in read_pages(sources, {numbered[n] for n in spread}):
        if found.page is not None and min(found.page.pixels.shape[1:]) >= SMALLEST:
            pages.append(found.page)
        claims = {claim_of(page) for page in pages}
        if len(pages) == _ALIKE and len(claims) == 1 and None not in claims:
            break
    if not pages:
        return None
    claim = Counter(claim_of(page) for page in pages).most_common(1)[0][0]
    same = [page for page in pages if claim_of(page) == claim]
    if claim is not None:
        return Proposal(window=claim, unit=same[0].unit, stated=True)
    return _from_pixels(same)


def claim_of(page: Page) -> Window | None:
    """The window that the kind of file itself states."""
    if page.window is not None:
        return page.window
    if page.stored == np.uint8:
        return (0.0, 255.0)
    return (0.0, 1.0) if page.stored == np.bool_ else None


def fits(page: Page, proposal: Proposal) -> bool:
    """Whether a page is in the scale that was proposed for all."""
    claim = claim_of(page)
    if claim is None:
        return not proposal.stated or (proposal.unit == "HU" and page.stored.kind in "if")
    return claim == proposal.window


def _from_pixels(pages: Sequence[Page]) -> Proposal:
    low = min(float(page.pixels.min()) for page in pages)
    high = max(float(page.pixels.max()) for page in pages)
    kinds = {page.stored.kind for page in pages}
    if -9000.0 <= low <= -200.0 and high <= 32767.0:
        return Proposal(window=HU_WINDOW, unit="HU")
    if kinds == {"f"} and low >= 0.0 and high <= 1.0:
        return Proposal(window=(0.0, 1.0))
    pool = np.concatenate([page.pixels.ravel()[:: -(-page.pixels.size // _PIXELS)] for page in pages])
    low, high = (float(v) for v in np.percentile(pool, _SHARES))
    if 0.0 <= low < _NEAR_ZERO * high:
        low = 0.0
    if "f" not in kinds:
        low, high = float(np.floor(low)), float(np.ceil(high))
        full = [depth for depth in _DEPTHS if high <= depth <= high / (1 - _NEAR_ZERO)]
        high = full[0] if low == 0.0 and full else high
    low, high = float(f"{low:.4g}"), float(f"{high:.4g}") if high not in _DEPTHS else high
    return Proposal(window=(low, high if high > low else low + 1.0))
