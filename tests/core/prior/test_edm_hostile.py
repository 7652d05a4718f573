"""Hostile snapshots: nothing runs, nothing crashes, nothing takes long; one sentence says why a file is refused.

A marker file would appear if anything in a pickle were executed; every test here looks for it.
"""

import builtins
import os
import pickle
import random
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from padis_gui.core.prior import legacy_torch
from padis_gui.core.prior.checkpoint import load_prior, read_prior
from padis_gui.core.prior.edm_snapshot import read_snapshot
from padis_gui.core.prior.inert_pickle import Budget, UnreadablePickle
from padis_gui.core.settings.errors import CheckpointError
from padis_gui.core.settings.machine import peak_memory_mb
from tests.fuzzing import read_in_bounds
from tests.snapshots import dump, random_snapshot

CPU = torch.device("cpu")
SECONDS = 10  # of processor time, on a machine that may be busy
MEGABYTES = 300  # of memory beyond what the process already had
FLIPS = 2200


@pytest.fixture(scope="module")
def whole() -> bytes:
    return dump(random_snapshot({"channel_mult": [1], "img_resolution": 256}, hooks=False))


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "executed"
    yield path
    assert not path.exists(), "something in the file was executed"


def peak() -> float:
    return peak_memory_mb(CPU)


def refused(folder: Path, data: bytes) -> str:
    """The sentence for ``data``, which must come soon and cost little memory."""
    path = folder / "hostile.pkl"
    path.write_bytes(data)
    before, began = peak(), time.process_time()
    with pytest.raises(CheckpointError) as caught:
        load_prior(path, CPU, "float32")
    assert time.process_time() - began < SECONDS
    assert peak() - before < MEGABYTES
    message = str(caught.value)
    assert "\n" not in message
    assert 20 < len(message) < 600
    assert message.endswith(".")
    return message


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def hidden(value: Any, place: str) -> dict[str, Any]:
    """A good snapshot with ``value`` somewhere in it."""
    content = random_snapshot({"channel_mult": [1], "img_resolution": 256})
    state = content["ema"].meta["state"]
    if place == "beside":
        content["loss_fn"] = value
    elif place == "arguments":
        state["_init_kwargs"] = dict(state["_init_kwargs"]) | {"dropout": value}
    elif place == "weights":
        state["_modules"]["model"].meta["state"]["_parameters"]["w"] = value
    else:
        content["ema"].meta[place] = value
    return content


# -- calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", ["beside", "arguments", "weights", "module_src", "class_name", "state"])
def test_calls_are_refused_by_name(tmp_path: Path, marker: Path, place: str, protocol: int) -> None:
    command = f"touch {marker}"
    for function, arguments, name in (
        (os.system, (command,), "system"),
        (eval, (f"__import__('os').system({command!r})",), "eval"),
    ):
        content = hidden(Call(function, *arguments), place)
        assert f".{name}" in refused(tmp_path, dump(content, protocol))


def test_other_ways_to_call(tmp_path: Path, marker: Path) -> None:
    command = f"touch {marker}"
    source = f"open({str(marker)!r}, 'w')"
    for function, arguments, name in (
        (builtins.exec, (source,), "builtins.exec"),
        (subprocess.Popen, (["touch", str(marker)],), "subprocess.Popen"),
        (getattr, (Call(__import__, "os"), "system"), "builtins."),
        (Call, (os.system, command), "Call"),
        (pickle.loads, (pickle.dumps(Call(os.system, command)),), "_pickle.loads"),
        (torch.load, (str(marker),), "torch.serialization.load"),
        (torch.storage._load_from_bytes, ("text",), "numbers"),
        (torch.nn.ModuleDict, (), "in an unexpected way"),
        (torch.nn.SiLU, (True,), "in an unexpected way"),
    ):
        assert name in refused(tmp_path, dump(hidden(Call(function, *arguments), "beside")))


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'{c}'\ntR.",  # protocol 0
        b"(S'{c}'\nios\nsystem\n.",  # INST
        b"\x80\x02(cos\nsystem\nU{n}{c}o.",  # OBJ
        b"\x80\x02cos\nsystem\nX{N}{c}\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c{n}{c}\x85R.",
        b"\x80\x04\x8c\x0bcollections\x8c\x17OrderedDict.__init_subc\x93)R.",
        b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93\x8c{n}{c}\x85R.",
        b"\x80\x02ctorch.storage\n_load_from_bytes.__globals__\n.",
        b"\x80\x02ccollections\nOrderedDict\n)R}(X\x0c\x00\x00\x00__setstate__cos\nsystem\nubb.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",  # NEWOBJ of what is no module
        b"\x80\x02ctorch.nn.modules.container\nModuleDict\n)\x81}b}b.",  # a state twice
        b"\x80\x02ctorch.nn.modules.container\nModuleDict\n)\x81Nb.",
        b"\x80\x02\x82\x01.",  # EXT1: the registry of copyreg
        b"\x80\x02\x83\x01\x00.",
        b"\x80\x02\x84\x01\x00\x00\x00.",
        b"\x80\x02X\x01\x00\x00\x00aQ.",  # persistent ids
        b"\x80\x02P1\n.",
        b"\x80\x05\x97.",  # NEXT_BUFFER
        b"\x80\x06N.",
        b"\x80\x02}}Ns.",  # a dictionary as a key
        b"\x80\x04\x8f(}\x90.",  # a set of dictionaries
        b"\x80\x02h\x07.",  # a memo that was never put
        b"\x80\x02(.",
        b"\x80\x02R.",
        b"\x80\x02NNR.",
        b"\x80\x02N" + b"2" * 100 + b".",
        b"\x80",
        b"\x80\x04\x95",
        b"\x80\x02\xff.",
        b"\x80\x02c\xff\xff\n\xff\n.",
        b"\x80\x02cos\nsys\ttem" + b"x" * 300 + b"\n.",
    ],
)
def test_streams_by_hand(tmp_path: Path, marker: Path, data: bytes) -> None:
    command = f"touch {marker}".encode()
    data = data.replace(b"{n}", struct.pack("<B", len(command))).replace(
        b"{N}", struct.pack("<I", len(command))
    )
    refused(tmp_path, data.replace(b"{c}", command))


def test_source_code_is_hashed_and_never_compiled(tmp_path: Path, marker: Path) -> None:
    source = f"open({str(marker)!r}, 'w').write('executed')\n" * 3
    path = tmp_path / "s.pkl"
    path.write_bytes(dump(random_snapshot({"channel_mult": [1], "img_resolution": 256}, source=source)))
    record, _ = read_prior(path)
    assert len(record.training["module_source_sha256"]) == 1


# -- the byte stream inside -------------------------------------------------------------------------------


def stream(
    storage: bytes = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00kX\x03\x00\x00\x00cpuK\x02NtQ.",
    magic: int = 0x1950A86A20F9469CFC6C,
    version: int = 1001,
    machine: Any = None,
    keys: Any = ("k",),
    count: int = 2,
    raw: bytes = bytes(8),
) -> bytes:
    parts = [magic, version, {"little_endian": True} if machine is None else machine]
    begin = b"".join(pickle.dumps(part, 2) for part in parts)
    return begin + b"\x80\x02" + storage + pickle.dumps(list(keys), 2) + struct.pack("<q", count) + raw


def storage_line(kind: bytes = b"FloatStorage", count: bytes = b"K\x02", view: bytes = b"N") -> bytes:
    return (
        b"(X\x07\x00\x00\x00storagectorch\n"
        + kind
        + b"\nX\x01\x00\x00\x00kX\x03\x00\x00\x00cpu"
        + count
        + view
        + b"tQ."
    )


def read(data: bytes) -> legacy_torch.StorageRecord:
    return legacy_torch.read_storage(memoryview(data), Budget(1000, 10_000))


def test_a_storage_by_hand() -> None:
    raw = struct.pack("<2f", 1.5, -2)
    record = read(stream(raw=raw))
    assert (record.dtype, record.count, bytes(record.data)) == (torch.float32, 2, raw)
    assert read(stream(storage_line(b"ByteStorage"), raw=b"ab")).dtype == torch.uint8


HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)


@pytest.mark.parametrize(
    "data",
    [
        stream(magic=3), stream(version=1002), stream(machine=[]), stream(machine={"little_endian": False}),
        stream(keys=()),
        stream(keys=("k", "k")), stream(keys=("j",)), stream(keys=[3]), stream(count=3), stream(count=-1),
        stream(count=2**62),
        stream(raw=b""), stream(raw=bytes(7)), stream(raw=bytes(9)), stream(b"N."), stream(b"cos\nsystem\n."),
        b"", b"\x80\x02N.",
        stream(storage_line(b"QInt8Storage")), stream(storage_line(b"UntypedStorage")),
        stream(storage_line(count=HUGE)),
        stream(storage_line(count=HUGE), count=2**62),
        stream(storage_line(count=b"J\xff\xff\xff\xff"), count=-1, raw=b""),
        stream(storage_line(count=b"N")), stream(storage_line(view=b"K\x01")),
        stream(storage_line()[:-1] + b"0" + storage_line()),
        stream(storage_line()[:-1] + storage_line()[:-1] + b"\x86."),
        stream(b"(X\x01\x00\x00\x00kK\x01tQ."), stream(b"X\x01\x00\x00\x00kQ."),
        stream(storage_line().replace(b"torch\nFloatStorage", b"posix\nsystem")),
    ],
)  # fmt: skip
def test_damaged_streams(data: bytes) -> None:
    with pytest.raises(UnreadablePickle):
        read(data)


def test_a_hostile_stream_inside_is_not_run(tmp_path: Path, marker: Path) -> None:
    inner = pickle.dumps(Call(os.system, f"touch {marker}"), 2)
    for payload in (
        inner,
        stream()[:60] + inner,
        stream(inner[2:]),
        stream().replace(b"]", inner[2:-1] + b"]"),
    ):
        value = Call(torch.storage._load_from_bytes, payload)
        refused(tmp_path, dump(hidden(value, "weights")))


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (3,), (1,)), (1, (2,), (1,)), (2, (1,), (1,)), (-1, (1,), (1,)), (0, (2,), (2,)),
        (0, (2,), (-1,)), (0, (-1,), (1,)),
        (0, (2**31, 2**31), (0, 0)), (0, (3,), (0,)), (0, (2**60,), (0,)), (0, (2,), (2**62,)),
        (2**63, (1,), (1,)), (0, (2,), ()),
        (0, [2], [1]), (0, (True,), (1,)), (0, (1.0,), (1,)), (0, (1,) * 9, (1,) * 9), ("0", (1,), (1,)),
        (0, None, None),
    ],
)  # fmt: skip
def test_tensors_that_leave_their_storage(offset: Any, shape: Any, stride: Any) -> None:
    storage = legacy_torch.StorageRecord(torch.float32, 2, memoryview(bytes(8)))
    with pytest.raises(UnreadablePickle):
        legacy_torch.rebuild_tensor((storage, offset, shape, stride, False, {}))


def test_tensors_that_lie_inside() -> None:
    numbers = torch.arange(12.0)
    storage = legacy_torch.StorageRecord(torch.float32, 12, memoryview(numbers.numpy().tobytes()))
    for offset, shape, stride in (
        (0, (3, 4), (4, 1)),
        (2, (2, 3), (1, 3)),
        (11, (), ()),
        (5, (0, 3), (1, 1)),
    ):
        record = legacy_torch.rebuild_tensor((storage, offset, shape, stride, False, {}))
        assert torch.equal(record.copy(Budget(10, 1000)), numbers.as_strided(shape, stride, offset))
    with pytest.raises(UnreadablePickle, match="far more data"):
        legacy_torch.rebuild_tensor((storage, 0, (12,), (1,), False, {})).copy(Budget(10, 47))


# -- bombs ------------------------------------------------------------------------------------------------


def bombs() -> dict[str, bytes]:
    head = b"\x80\x04"
    laughs = head + b"]\x94" + b"".join(b"](h%ch%ce\x94" % (n, n) for n in range(100)) + b"."
    set_key = head + b"]\x94" + b"".join(b"h%ch%c\x86\x94" % (n, n) for n in range(1, 100)) + b"."
    module = b"ctorch.nn.modules.container\nModuleDict\n)\x81"
    empty = b"X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_buffers}X\x08\x00\x00\x00_modules"
    nested = module + b"}(" + empty + b"}ub\x94"
    for level in range(40):  # each module holds the one before it twice: 2^40 in all
        children = b"}(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cu" % (level, level)
        nested += module + b"}(" + empty + children + b"ub\x94"
    twice = head + nested + b"0}X\x03\x00\x00\x00emah(s."
    return {
        "laughs": laughs,
        "shared tuples": set_key,
        "modules": twice,
        "nested lists": head + b"](" * 300_000 + b".",
        "nested tuples": head + b"N" + b"\x85" * 300_000 + b".",
        "nested tuples in a good place": head + b"}X\x03\x00\x00\x00emaN" + b"\x85" * 300_000 + b"s.",
        "instructions": head + b"N0" * 2_000_000 + b".",
        "pushes": head + b"N" * 2_000_000 + b".",
        "long number": head + b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01" * 1000,
        "negative number": head + b"\x8b" + struct.pack("<i", -1) + b".",
        "number of 255 bytes": head + b"\x8a\xff" + b"\x7f" * 255 + b".",
        "bytes": head + b"\x8e" + struct.pack("<Q", 2**62) + b"abc",
        "text": head + b"\x8d" + struct.pack("<Q", 2**63) + b"abc",
        "frame": head + b"\x95" + struct.pack("<Q", 2**62) + b"N.",
        "memo": head + b"Nr" + struct.pack("<I", 2**32 - 1) + b".",
        "names": head + b"c" + b"a" * 1_000_000,
        "text as bytes, often": head
        + b"c_codecs\nencode\n\x94X" + struct.pack("<I", 500_000) + b"a" * 500_000
        + b"\x94X\x06\x00\x00\x00latin1\x86\x94" + b"h\x00h\x02R" * 100_000 + b".",
    }  # fmt: skip


@pytest.mark.parametrize("name", bombs().keys())
def test_bombs_end_quickly(tmp_path: Path, name: str) -> None:
    refused(tmp_path, bombs()[name])


@pytest.mark.skipif(os.name == "nt", reason="memory and time are bounded by means of POSIX")
def test_bombs_take_no_more_than_a_gigabyte_besides(tmp_path: Path) -> None:
    """Shared modules, texts that are made again and again, a million faulty settings: of some kB each, or a few MB."""
    content = random_snapshot({"channel_mult": [1], "img_resolution": 256})
    layers = content["ema"].meta["state"]["_modules"]["model"].meta["state"]["_modules"]
    layers.update({f"more{n}": layers[next(iter(layers))] for n in range(100_000)})
    faulty = random_snapshot({"channel_mult": [1], "img_resolution": 256})
    faulty["ema"].meta["state"]["_init_kwargs"]["attn_resolutions"] = [None] * 900_000
    for name, data in (bombs() | {"shared module": dump(content), "faulty settings": dump(faulty)}).items():
        (tmp_path / f"{name.replace(' ', '-')}.pkl").write_bytes(data)
    read = """
import torch
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.settings.errors import CheckpointError
try:
    load_prior(path, torch.device("cpu"), "float32")
    raise AssertionError(path)
except CheckpointError as error:
    fuzzing.check_sentence(str(error))"""
    found = read_in_bounds(
        tmp_path, sorted(tmp_path.glob("*.pkl")), read, "padis_gui.core.prior.checkpoint", "torch"
    )
    assert found["MB"] < 1024, found


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "hostile.pkl").open("wb") as file:
        file.write(b"\x80\x04")
        file.truncate(3 * 2**30)  # sparse
    with pytest.raises(CheckpointError, match="3 GB"):
        load_prior(tmp_path / "hostile.pkl", CPU, "float32")


def test_one_weight_used_for_everything(tmp_path: Path, whole: bytes) -> None:
    """A thousand parameters on one storage: refused for not fitting, before any of them is copied."""
    content = random_snapshot({"channel_mult": [1], "img_resolution": 256})
    weight = torch.nn.Parameter(torch.zeros(50_000))
    parameters = content["ema"].meta["state"]["_modules"]["model"].meta["state"]["_parameters"]
    parameters.update({f"w{n}": weight for n in range(5000)})
    assert "do not fit" in refused(tmp_path, dump(content))


# -- damage -----------------------------------------------------------------------------------------------


def test_cut_at_every_kilobyte(tmp_path: Path, whole: bytes) -> None:
    cuts = [*range(0, len(whole), 1024), 1, 2, 3, 12, 100, len(whole) - 1]
    for cut in cuts:
        refused(tmp_path, whole[:cut])
    assert "after its end" in refused(tmp_path, whole + b"\0")


def test_random_damage_loads_or_is_refused(tmp_path: Path, marker: Path, whole: bytes) -> None:
    """A flipped byte in a weight cannot be told from a weight; everything else is one sentence."""
    rng, path = random.Random(0), tmp_path / "damaged.pkl"
    path.write_bytes(whole)
    read_prior(path)  # it is whole
    before, outcomes, messages = peak(), {True: 0, False: 0}, set[str]()
    for n in range(FLIPS):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 2, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        began = time.process_time()
        try:
            if n % 10:  # most need only the reader; building the network is the slow part
                read_snapshot(path).state()
            else:
                _, state = read_prior(path)
                assert all(bool(torch.isfinite(tensor).all()) for tensor in state.values())
            outcomes[True] += 1
        except CheckpointError as error:
            outcomes[False] += 1
            messages.add(str(error))
        assert time.process_time() - began < SECONDS
    assert not any("\n" in message or len(message) > 600 for message in messages)
    assert min(outcomes.values()) > FLIPS // 20, outcomes
    assert peak() - before < MEGABYTES
