"""Problems: what is measured of an image, or was measured of a sample."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from padis_gui.api.opening import OpenedImage, checked_path, open
from padis_gui.core.files.arrays import array_of, scan_of_array
from padis_gui.core.files.read import read_cone_volume, read_image, read_volume
from padis_gui.core.images.image import ReadingSettings, write_mask
from padis_gui.core.physics.problem import scan_settings
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import user_files


@dataclass(frozen=True, repr=False)
class Problem:
    """What is measured of which image: ``physics`` is a name in the registry, ``settings`` are its own.

    ``source`` is None where nothing is measured (generation). The measurement itself is made when a run begins.
    """

    source: OpenedImage | None
    physics: str
    settings: PhysicsSettings

    def __repr__(self) -> str:
        changed = self.settings.model_dump(exclude_defaults=True)
        said = ", ".join(f"{name}={_brief(value)}" for name, value in changed.items())
        image = "" if self.source is None else f" of {self.source!r}"
        return f"<problem {self.physics}({said}){image}>"


def _brief(value: Any) -> str:
    return f"<{len(value)} numbers>" if isinstance(value, tuple) and len(value) > 4 else repr(value)


def problem(image: Any, physics: str, **settings: Any) -> Problem:
    """A measurement simulated of ``image``, or what a picture opened with ``role="measurement"`` is taken for.

    ``image`` is what :func:`open` gives, or anything that it takes; ``physics`` is a name in the registry, such as
    "ct-parallel", and ``settings`` are its own.
    """
    record = find_physics(physics)
    if record.imageless:
        return nothing(**settings)
    source = image if isinstance(image, OpenedImage) else open(image)
    measured = source.image.measured
    if measured is not None and (measured.physics or not record.pictorial):
        raise InputError(
            f"An image was wanted, of which a measurement is simulated, but {source.image.name} is a "
            'measurement already; use pg.scan for a scan, or open it with role="image".'
        )
    return Problem(source, record.name, make(record.settings_type, settings))


def ct(image: Any, *, fan: bool = False, **settings: Any) -> Problem:
    """Few-view CT simulated of ``image``, in a parallel beam or a ``fan``: ``views``, ``noise``, ``arc``, ``photons`` …"""
    return problem(image, "ct-fan" if fan else "ct-parallel", **settings)


def fan(image: Any, **settings: Any) -> Problem:
    """Fan-beam CT simulated of ``image``; as :func:`ct`."""
    return ct(image, fan=True, **settings)


def cone(volume: Any, **settings: Any) -> Problem:
    """Cone-beam CT of a volume: ``views``, ``bins``, ``detector_rows``, ``source_distance`` …; all slices are one problem.

    ``volume`` is a file or a folder of slices, of which a scan is simulated, a cone-beam scan, which is taken with its own
    geometry, or what :func:`open` gave, one slice. ``settings`` are those of reading and of the physics, as for
    :func:`scan`.
    """
    if isinstance(volume, OpenedImage):
        return problem(volume, "ct-cone", **settings)
    path = checked_path(volume, "The file of a volume")
    of_reading = {name: settings.pop(name) for name in list(settings) if name in ReadingSettings.model_fields}
    reading = make(ReadingSettings, of_reading)
    first = read_image(path, 0, reading)
    if first.is_scan:
        image = read_cone_volume(path, reading)
        assert image.measured is not None, "of a scan"
        return Problem(OpenedImage(image, path), "ct-cone", scan_settings(image.measured, given=settings))
    image = read_volume(path, range(first.pages), reading)
    return problem(OpenedImage(image, path), "ct-cone", **settings)


def blur(image: Any, **settings: Any) -> Problem:
    """Deblurring: of a blur simulated of ``image``, or of a picture opened with ``role="measurement"``."""
    return problem(image, "deblur", **settings)


def superresolution(image: Any, **settings: Any) -> Problem:
    """Super-resolution by ``factor``: of ``image`` reduced, or of a picture opened with ``role="measurement"``."""
    return problem(image, "super-resolution", **settings)


def denoise(image: Any, **settings: Any) -> Problem:
    """Denoising: of ``image`` with simulated noise, or of a picture opened with ``role="measurement"``."""
    return problem(image, "denoising", **settings)


def inpaint(image: Any, mask: Any = None, **settings: Any) -> Problem:
    """Inpainting. ``mask`` is the setting of that name ("boxes", "pixels", "strokes", "blobs", "file"), or an array
    (rows, columns) that is True, or not 0, where a pixel is missing.

    An array is kept for the recipe as a PNG: under the name ``mask_file`` where that is given, else in a folder of the
    user's. Raises :class:`~padis_gui.core.settings.errors.PadisError` where it cannot be written.
    """
    if mask is not None and not isinstance(mask, str):
        settings |= {"mask": "file", "mask_file": _mask_file(mask, settings.get("mask_file"))}
    elif mask is not None:
        settings |= {"mask": mask}
    return problem(image, "inpainting", **settings)


def _mask_file(mask: Any, wanted: Any) -> str:
    values = array_of(mask, "A mask (rows, columns)")
    if values.ndim != 2:
        raise InputError(
            f"A mask (rows, columns) was wanted, but an array of {values.ndim} axes came; give one for all channels."
        )
    missing = values != 0
    path = checked_path(wanted, "The name of the mask's file") if wanted else None
    if path is None:
        known = hashlib.sha256(repr(missing.shape).encode() + missing.tobytes()).hexdigest()[:16]
        path = user_files() / "masks" / f"mask-{known}.png"
    write_mask(path, missing)
    return str(path)


def scan(source: Any, *, page: int = 0, **settings: Any) -> Problem:
    """What a scanner really measured, with its geometry; there is no truth.

    ``source`` is a scan's file or folder, what :func:`open` gave of one, or an array of line integrals (views, bins)
    with the fields of :class:`~padis_gui.core.files.scans.scan.Geometry` by name: ``angles`` in degrees, ``beam``,
    ``bin_width``, ``source_distance``, … ``settings`` are those of reading (``take_views``, ``binning``, ``image_size``)
    and those of the physics that are to be other than the file says (``centre``, ``noise``, …).
    """
    of_reading = {name: settings.pop(name) for name in list(settings) if name in ReadingSettings.model_fields}
    if isinstance(source, OpenedImage):
        if of_reading or page:
            raise SettingError(
                f"'{next(iter(of_reading), 'page')}' is said when a scan is opened, but it is open already; give it to "
                "pg.open, or give the file here."
            )
        opened = source
    elif isinstance(source, str | os.PathLike):
        opened = open(source, page=page, **of_reading)
    else:
        opened = OpenedImage(scan_of_array(source, make(ReadingSettings, of_reading), settings), None)
    measured = opened.image.measured
    if measured is None or not measured.physics:
        raise InputError(
            f"A scan was wanted, but {opened.image.name} is an image; use pg.ct to simulate a scan of it."
        )
    return Problem(opened, measured.physics, scan_settings(measured, given=settings))


def nothing(**settings: Any) -> Problem:
    """No measurement: what is made is a sample of the prior, of its own size or of ``rows`` and ``columns``."""
    record = find_physics("nothing")
    return Problem(None, record.name, make(record.settings_type, settings))
