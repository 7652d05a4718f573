"""Whose page is whose: a table, what the files say, or one subject a file or a page."""

import csv
from collections.abc import Sequence
from pathlib import Path

from padis_gui.core.settings.errors import InputError
from padis_gui.core.training._j_sources__core_training_sources import Found, Source

_OWNERS = ("patient", "subject")


def group_by_subject(
    paths: Sequence[Path], table: str, sources: Sequence[Source], taken: Sequence[Found]
) -> tuple[tuple[int, ...], ...]:
    """The indices in ``taken`` of each subject.

    ``table`` is a CSV file with a column patient or subject and the columns page (the number from 0, through
    all files in their order, or within the file where there is one), file, or both; empty takes the table
    beside a single file (the same name with the ending .csv) or `subjects.csv` in a folder. Pages that it
    leaves out, or all without one, belong to the patient that their DICOM file names, else to their volume,
    else to their file where several have more than a page, and else to nobody but themselves. Raises
    :class:`InputError` where the table is none, or names no page that was read.
    """
    path = Path(table) if table else _table_of(paths)
    owners = {} if path is None else _read_table(path)
    several = sum(source.count > 1 for source in sources) > 1
    groups: dict[object, list[int]] = {}
    known = False
    for index, found in enumerate(taken):
        owner = _owner(owners, found)
        known = known or owner is not None
        source = found.source
        key: object = ("table", owner)
        if owner is None and source.subject:
            key = ("patient", source.subject)
        elif owner is None:
            key = ("file", source.first) if source.is_volume or several else ("page", found.number)
        groups.setdefault(key, []).append(index)
    if path is not None and not known:
        raise InputError(
            f"A table that says whose pages these are was wanted, but {path.name} names none of them; correct its "
            "columns page and file, or train without it."
        )
    return tuple(tuple(members) for members in groups.values())


_Place = tuple[str | None, int | None]


def _owner(owners: dict[_Place, str], found: Found) -> str | None:
    page = found.number - found.source.first
    for file in (found.name, found.source.name):
        for place in ((file, page), (file, None)):
            if place in owners:
                return owners[place]
    return owners.get((None, found.number))


def _table_of(paths: Sequence[Path]) -> Path | None:
    if len(paths) != 1:
        return None
    beside = paths[0] / "subjects.csv" if paths[0].is_dir() else paths[0].with_suffix(".csv")
    return beside if beside.is_file() else None


def _read_table(path: Path) -> dict[_Place, str]:
    """The owner of each (file, page), either of which may be None."""
    owners: dict[_Place, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or ()
            owner = next(name for name in _OWNERS if name in columns)
            if "page" not in columns and "file" not in columns:
                raise KeyError("page")
            for row in rows:
                if not row[owner]:
                    raise ValueError("a page without a subject")
                page = int(row["page"]) if row.get("page") else None
                name = Path(row["file"]).name if row.get("file") else None
                if page is None and name is None:
                    raise ValueError("a subject without a page")
                owners[name, page] = row[owner]
    except (OSError, LookupError, StopIteration, ValueError, TypeError, csv.Error):
        raise InputError(
            f"A table with the columns page and patient was wanted, but {path.name} is none; "
            "correct it or train without it."
        ) from None
    return owners
