"""OLE files of streams, as [MS-CFB] describes them: sectors of 512 or 4096 bytes, streams below 4096 in the mini stream."""

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import olefile

_HEADER, _MINI, _CUTOFF = 512, 64, 4096
_PLACES = 109  # of the table's sectors in the header
_END, _FAT, _DIFAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5


class _Entry:
    def __init__(self, name: str, kind: int, content: bytes = b"") -> None:
        self.name, self.kind, self.content = name, kind, content
        self.kids: list[_Entry] = []
        self.left = self.right = self.child = _NONE
        self.start, self.number = _END, 0


def _tree(streams: Mapping[str, bytes]) -> list[_Entry]:
    root = _Entry("Root Entry", _ROOT)
    entries, storages = [root], {"": root}
    for path, content in streams.items():
        above = root
        *parts, last = path.split("/")
        for n in range(len(parts)):
            place = "/".join(parts[: n + 1])
            if place not in storages:
                storages[place] = _Entry(parts[n], _STORAGE)
                entries.append(storages[place])
                above.kids.append(storages[place])
            above = storages[place]
        entries.append(_Entry(last, _STREAM, content))
        above.kids.append(entries[-1])
    for number, entry in enumerate(entries):
        entry.number = number
    for storage in storages.values():
        storage.child = _balanced(sorted(storage.kids, key=lambda one: (len(one.name), one.name.upper())))
    return entries


def _balanced(entries: list[_Entry]) -> int:
    if not entries:
        return _NONE
    middle = len(entries) // 2
    entries[middle].left = _balanced(entries[:middle])
    entries[middle].right = _balanced(entries[middle + 1 :])
    return entries[middle].number


def _padded(content: bytes, side: int) -> bytes:
    return content + bytes(-len(content) % side)


def write_ole(path: Path, streams: Mapping[str, bytes], sector: int = 512) -> Path:
    """A file with ``streams`` by their paths."""
    path.write_bytes(ole_bytes(streams, sector))
    return path


def ole_bytes(streams: Mapping[str, bytes], sector: int = 512) -> bytes:
    """What a file with ``streams`` by their paths holds."""
    entries = _tree(streams)
    sectors, fat = bytearray(), []

    def store(content: bytes) -> int:
        """Content in sectors of its own, and where they begin."""
        first, count = len(fat), len(_padded(content, sector)) // sector
        sectors.extend(_padded(content, sector))
        fat.extend([*range(first + 1, first + count), _END] if count else [])
        return first if count else _END

    mini, mini_fat = bytearray(), []
    for entry in entries[1:]:
        if entry.kind == _STREAM and len(entry.content) >= _CUTOFF:
            entry.start = store(entry.content)
        elif entry.content:
            entry.start, count = len(mini_fat), len(_padded(entry.content, _MINI)) // _MINI
            mini_fat.extend([*range(entry.start + 1, entry.start + count), _END])
            mini.extend(_padded(entry.content, _MINI))
    root = entries[0]
    root.content, root.start = bytes(mini), store(bytes(mini))
    directory = b"".join(
        struct.pack(
            "<64sHBBIII16sIQQIQ", entry.name.encode("utf-16-le"), 2 * len(entry.name) + 2, entry.kind, 1, entry.left,
            entry.right, entry.child, b"", 0, 0, 0, entry.start, len(entry.content),
        )
        for entry in entries
    )  # fmt: skip
    at_directory = store(directory)
    at_mini = store(struct.pack(f"<{len(mini_fat)}I", *mini_fat))
    count = further = 0
    while (len(fat) + count + further) * 4 > count * sector:
        count += 1
        further = -(-max(count - _PLACES, 0) // (sector // 4 - 1))
    at_fat = list(range(len(fat), len(fat) + count))
    at_further = list(range(len(fat) + count, len(fat) + count + further))
    fat.extend([_FAT] * count + [_DIFAT] * further)
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(count * sector, b"\xff")
    rest = at_fat[_PLACES:]
    for n in range(further):  # a list of further places, each of whose sectors ends with the next one's
        part = rest[n * (sector // 4 - 1) : (n + 1) * (sector // 4 - 1)]
        following = at_further[n + 1] if n + 1 < further else _END
        table += struct.pack(f"<{len(part)}I", *part).ljust(sector - 4, b"\xff") + struct.pack(
            "<I", following
        )
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3 if sector == 512 else 4, 0xFFFE,
        sector.bit_length() - 1, 6, b"", 0 if sector == 512 else len(directory) // sector + 1, count,
        at_directory, 0, _CUTOFF, at_mini, -(-len(mini_fat) * 4 // sector),
        at_further[0] if further else _END, further, at_fat[0],
    )  # fmt: skip
    header += struct.pack(f"<{len(at_fat[1:_PLACES])}I", *at_fat[1:_PLACES])
    header = header.ljust(_HEADER, b"\xff").ljust(sector, b"\0")
    return header + bytes(sectors) + table


def streams_of(content: bytes) -> dict[str, bytes]:
    """The streams of a file that :func:`ole_bytes` made."""
    with olefile.OleFileIO(io.BytesIO(content)) as file:
        return {"/".join(path): file.openstream(path).read() for path in file.listdir()}
