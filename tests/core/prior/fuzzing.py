"""Checkpoints with faults in their structure: run as a module with KIND FIRST COUNT FOLDER.

What a file describes and what it holds stay whole but for the fault: fields of the record, of the header and of the
arguments, instructions of the pickle, tensors.
"""

import io
import itertools
import json
import pickletools
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import safetensors.torch
import torch

from padis_gui.core.prior.checkpoint import FORMAT, load_prior, read_record, summarise_prior
from padis_gui.core.settings.errors import CheckpointError
from tests import fuzzing
from tests.core.files.fuzzing import damaged
from tests.mutations import encoded, mutated
from tests.snapshots import ARGUMENTS, dump, random_network, random_snapshot, snapshot_content
from tests.tiny import TINY_NETWORK, tiny_record, tiny_state

MEMORY = 2**30  # bytes beyond the program's own
SECONDS = 10.0


class _Native:
    """safetensors with a record in their header."""

    ending = ".safetensors"

    def __init__(self) -> None:
        self.record = tiny_record().model_dump(mode="json")
        metadata = {"format": FORMAT, "version": "1", "record": json.dumps(self.record)}
        self.sound = safetensors.torch.save(tiny_state(), metadata)
        size = struct.unpack("<Q", self.sound[:8])[0]
        self.header, self.data = json.loads(self.sound[8 : 8 + size]), self.sound[8 + size :]

    def made(self, random: Random) -> bytes:
        kind, header, data = random.random(), json.loads(json.dumps(self.header)), self.data
        if kind < 0.45:
            header["__metadata__"]["record"] = mutated(self.record, random)
            text = json.dumps(header)
        elif kind < 0.9:
            text = mutated(header, random)
        else:
            return damaged(self.sound, random)
        if random.random() < 0.1:
            data = data[: random.randrange(len(data))]
        found = encoded(text)
        size = (
            len(found)
            if random.random() < 0.95
            else random.choice((0, 1, 2**24, 2**40, 2**63, len(found) + 1))
        )
        return struct.pack("<Q", size) + found + data


_SMALL = {"channel_mult": [1], "img_resolution": 256}
_INSTRUCTIONS = (
    b"N", b"K\x00", b"K\xff", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"]", b"}", b")", b"(", b"0", b"2",
    b"\x85", b"\x86", b"\x87", b"t", b"e", b"a", b"s", b"u", b"\x81", b"R", b"b", b"\x8f", b"\x90", b"\x94", b"h\x00",
    b"h\x01", b"j\xff\xff\x00\x00", b"G\x7f\xf8" + bytes(6), b"G\x7f\xef" + b"\xff" * 6, b"X\x01\x00\x00\x00a",
    b"X\xff\xff\xff\x7fa", b"cos\nsystem\n", b"cbuiltins\neval\n", b"\x8c\x03ema", b"C\x03abc",
    b"B\xff\xff\xff\x7f", b"Q", b".",
)  # fmt: skip


class _Published:
    """Pickles of published snapshots, by what they hold or by their instructions."""

    ending = ".pkl"

    def __init__(self) -> None:
        self.arguments = ARGUMENTS | _SMALL
        self.state = random_network(self.arguments).state_dict()
        content = random_snapshot(_SMALL, hooks=False)
        self.sounds = [dump(content, protocol) for protocol in (2, 3, 4, 5)]
        self.sound = self.sounds[2]
        self.edges = {}
        for sound in self.sounds:
            starts = [at for _, _, at in pickletools.genops(sound) if at is not None]
            self.edges[sound] = [*starts, len(sound)]

    def made(self, random: Random) -> bytes:
        kind = random.random()
        if kind < 0.4:
            return self._content(random)
        sound = random.choice(self.sounds)
        return damaged(sound, random) if kind > 0.9 else self._instructions(sound, random)

    def _instructions(self, sound: bytes, random: Random) -> bytes:
        edges = self.edges[sound]
        parts = [sound[a:b] for a, b in itertools.pairwise(edges)]
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            at = random.randrange(len(parts))
            match random.randrange(6):
                case 0:
                    del parts[at]
                case 1:
                    parts[at] = random.choice(_INSTRUCTIONS)
                case 2:
                    parts.insert(at, random.choice(_INSTRUCTIONS) * random.choice((1, 1, 2, 1000, 200_000)))
                case 3:
                    parts.insert(at, parts[random.randrange(len(parts))])
                case 4:
                    other = random.randrange(len(parts))
                    parts[at], parts[other] = parts[other], parts[at]
                case _:  # its number or text
                    parts[at] = (
                        parts[at][:1]
                        + bytes(random.choice((0, 1, 127, 128, 255)) for _ in parts[at][1:5])
                        + parts[at][5:]
                    )
        return b"".join(parts)

    def _content(self, random: Random) -> bytes:
        content = snapshot_content(dict(self.arguments), self.state, hooks=False)
        holders = list(_holders(content, 0))
        for _ in range(random.choice((1, 1, 2))):
            holder = random.choice(holders)
            if holder:
                key = random.choice(list(holder))
                if random.random() < 0.15:
                    del holder[key]
                elif random.random() < 0.15:
                    holder[random.choice(("", "a.b", "a" * 100, "\x1b[2J", 3))] = holder[key]
                else:
                    holder[key] = _value(holder[key], random)
        try:
            return dump(content, random.choice((2, 3, 4, 5)))
        except (ValueError, TypeError, UnicodeEncodeError):  # what no pickler writes
            return self.sound[:-1]


def _holders(value: Any, depth: int) -> Any:
    inner = getattr(value, "meta", value)
    if isinstance(inner, torch.nn.Module):
        inner = inner.__dict__
    if isinstance(inner, dict) and depth < 12:
        yield inner
        for each in list(inner.values()):
            yield from _holders(each, depth + 1)


def _value(value: Any, random: Random) -> Any:
    others = (
        None, True, 0, 1, -1, 2**31, 2**63, -(2**70), 0.5, float("nan"), float("inf"), 1e308, "", "a" * 100_000,
        "\x1b]0;a\x07", [], {}, (),
        [0] * 1000, [[[]]], {"a": {}}, [10**6] * 8, b"a" * 100, {"a", "b"},
    )  # fmt: skip
    if isinstance(value, torch.Tensor):
        turned = value.t() if value.ndim == 2 else value
        tensors = (
            torch.zeros(0), torch.zeros(3, 3), value.double(), value.half(), value.to(torch.int64), turned,
            value * float("nan"), value[..., :1].expand_as(value) if value.ndim else value, torch.zeros(1).expand(10**6),
        )  # fmt: skip
        return random.choice((*tensors, None, 0, "a"))
    if isinstance(value, int) and random.random() < 0.5:
        return random.choice((value + 1, value - 1, -value, value * 1000, float(value), str(value)))
    return random.choice(others)


class _Zip:
    """What torch.save writes, which is no prior; and other archives."""

    ending = ".pt"

    def __init__(self) -> None:
        buffer = io.BytesIO()
        torch.save({"model": tiny_state(), "settings": TINY_NETWORK.model_dump()}, buffer)
        self.sound = buffer.getvalue()

    def made(self, random: Random) -> bytes:
        if random.random() < 0.5:
            return damaged(self.sound, random)
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(self.sound)) as sound, zipfile.ZipFile(buffer, "w") as made:
            for name in sound.namelist():
                content = sound.read(name)
                made.writestr(name, damaged(content, random) if random.random() < 0.3 else content)
        return buffer.getvalue()


KINDS: dict[str, Callable[[], Any]] = {"native": _Native, "published": _Published, "zip": _Zip}


def _whole(path: Path) -> None:
    prior = load_prior(path, torch.device("cpu"), "float32")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in prior.network.state_dict().values())


_READS: tuple[Callable[[Path], object], ...] = (read_record, summarise_prior, _whole)


def attempt(path: Path, read: Callable[[Path], object]) -> bool:
    """Whether a file is taken for a prior; anything else than one or a sentence is raised."""
    try:
        read(path)
    except CheckpointError as error:
        fuzzing.check_sentence(str(error))
        return False
    return True


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Read ``count`` mutated checkpoints."""
    maker = KINDS[kind]()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"file{maker.ending}"
    path.write_bytes(maker.sound)
    assert attempt(path, _whole) or kind == "zip"

    def once(random: Random) -> bool:
        path.write_bytes(maker.made(random))
        return attempt(path, random.choice(_READS))

    fuzzing.go(kind, first, count, folder, once, memory=MEMORY, seconds=SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
