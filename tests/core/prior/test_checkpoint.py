"""A checkpoint is data: it loads whole and finite, or one sentence says why not. Nothing is ever executed."""

import json
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from padis_gui.core.prior import network
from padis_gui.core.prior.checkpoint import FORMAT, load_prior, read_record, save_prior
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.settings.errors import CheckpointError
from tests.fuzzing import check_sentence
from tests.tiny import tiny_record, tiny_state

CPU = torch.device("cpu")


def load(path: Path) -> PatchPrior:
    return load_prior(path, CPU, "float32")


def refused(path: Path) -> str:
    """The message for a file that must not load: one sentence."""
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    check_sentence(message)
    assert 20 < len(message) < 400
    return message


def write(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    path.write_bytes(safetensors.torch.save(tensors, metadata))
    return path


def metadata(record: dict[str, Any] | None = None, **changes: str) -> dict[str, str]:
    plain = tiny_record().model_dump(mode="json")
    return {"format": FORMAT, "version": "1", "record": json.dumps(record or plain), **changes}


# -- round trip -------------------------------------------------------------------------------------------


def test_full_precision_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    save_prior(path, tiny_record(), tiny_state(), half=False)
    prior = load(path)
    found = prior.network.state_dict()
    assert set(found) == set(tiny_state())
    for name, tensor in tiny_state().items():
        assert torch.equal(found[name], tensor)
    assert prior.conventions == tiny_record().conventions
    assert (prior.channels, prior.downsampling) == (1, 4)
    assert not prior.network.training


def test_half_precision_is_close_and_half_the_size(tmp_path: Path) -> None:
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_prior(full, tiny_record(), tiny_state(), half=False)
    save_prior(half, tiny_record(), tiny_state())
    assert half.stat().st_size < 0.6 * full.stat().st_size
    found = load(half).network.state_dict()
    for name, tensor in tiny_state().items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-6)
    x, sigma = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(2)
    with torch.no_grad():
        ours, theirs = load(half).network(x, sigma), load(full).network(x, sigma)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-2


def test_record_round_trips_without_the_tensors(prior_path: Path) -> None:
    assert read_record(prior_path) == tiny_record()


def test_record_json_round_trip() -> None:
    record = tiny_record()
    assert type(record).model_validate_json(record.model_dump_json()) == record


# -- files that are none ----------------------------------------------------------------------------------


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.safetensors")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    assert "another kind of file" in refused(tmp_path / "empty")
    with pytest.raises(CheckpointError, match="too long"):
        load(tmp_path / ("long" * 200))
    refused(tmp_path / "nul\0byte")


def test_truncated_at_every_kind_of_place(prior_path: Path, tmp_path: Path) -> None:
    whole = prior_path.read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    cuts = [1, 7, 8, 9, 100, header // 2, header - 1, header, header + 1, len(whole) // 2, len(whole) - 1]
    for cut in cuts:
        path = tmp_path / "cut.safetensors"
        path.write_bytes(whole[:cut])
        refused(path)
    path.write_bytes(whole + b"\0")
    refused(path)


def test_random_damage_loads_or_is_refused(prior_path: Path, tmp_path: Path) -> None:
    """A flipped byte in a weight cannot be told from a weight; anything else must be a CheckpointError."""
    whole, rng = prior_path.read_bytes(), random.Random(0)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    path, messages = tmp_path / "damaged.safetensors", []
    for n in range(250):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 20))):
            # mostly in the header, where it matters
            data[rng.randrange(header if n % 5 else len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            load(path)
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


class Bomb:
    """What a hostile pickle would do."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('the pickle was run')",)


def test_other_kinds_of_file(tmp_path: Path) -> None:
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path / "p.pkl")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "t.pt")
    refused(tmp_path / "t.pt")
    (tmp_path / "text.safetensors").write_text("not a prior at all, just words")
    refused(tmp_path / "text.safetensors")
    write(tmp_path / "other.safetensors", {"a": torch.zeros(2)})
    assert "another kind" in refused(tmp_path / "other.safetensors")
    write(tmp_path / "other2.safetensors", {"a": torch.zeros(2)}, format="pt")
    assert "another kind" in refused(tmp_path / "other2.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b"[]", b"null", b'"text"', b"{", b"\xff\xfe\xfd\xfc", b'{"__metadata__": 3}', b'{"__metadata__": {"format": 3}}',
        b"[" * 5000, b'{"__metadata__": {"format": "padis-gui prior", "version": "1"}}',
    ],
)  # fmt: skip
def test_hostile_headers(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refused(path)


@pytest.mark.parametrize("size", [0, 1, 2**24, 2**40, 2**63, 2**64 - 1])
def test_absurd_header_sizes_cost_no_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "absurd.safetensors"
    path.write_bytes(struct.pack("<Q", size) + b"{}" * 100)
    refused(path)


# -- the digest of the tensors -----------------------------------------------------------------------------


@pytest.mark.parametrize("half", [True, False])
def test_a_changed_bit_in_the_weights_is_found(tmp_path: Path, half: bool) -> None:
    path = tmp_path / "prior.safetensors"
    save_prior(path, tiny_record(), tiny_state(), half=half)
    load(path)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # the least bit of some weight: still a whole, finite file
    path.write_bytes(data)
    assert "checksum" in refused(path)


def test_weights_under_each_others_names_are_found(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    save_prior(path, tiny_record(), tiny_state(), half=False)
    with safetensors.safe_open(path, framework="pt") as file:
        described = file.metadata()
    state = safetensors.torch.load_file(path)
    first, second = "encoder.0.0.conv0.weight", "encoder.1.0.conv0.weight"
    state[first], state[second] = state[second], state[first]
    assert "checksum" in refused(write(path, state, **described))


def test_files_of_older_versions_carry_no_digest(tmp_path: Path) -> None:
    load(write(tmp_path / "old.safetensors", tiny_state(), **metadata()))


# -- priors that are damaged ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    state = tiny_state()
    next(iter(state.values())).view(-1)[0] = value
    save_prior(tmp_path / "nan.safetensors", tiny_record(), state)
    assert "NaN or infinite" in refused(tmp_path / "nan.safetensors")


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    state = tiny_state()
    first = next(iter(state))
    for name, wrong in {
        "missing": {k: v for k, v in state.items() if k != first},
        "extra": state | {"another": torch.zeros(1)},
        "shape": state | {first: torch.zeros(3, 3)},
        "integer": state | {first: state[first].to(torch.int64)},
        "none": {},
        "obeyed": state | {"\x1b]0;P\x07\u202e": torch.zeros(1)},
        "long": state | {"a" * 100_000: torch.zeros(1)},
    }.items():
        path = tmp_path / f"{name}.safetensors"
        assert "do not fit" in refused(write(path, wrong, **metadata()))


def test_versions(tmp_path: Path) -> None:
    for version in ("2", "", "one", "\x1b]0;P\x07", "\u202e1", "A" * 100_000):
        assert "version" in refused(
            write(tmp_path / "v.safetensors", tiny_state(), **metadata(version=version))
        )


HOSTILE: list[dict[str, Any]] = [
    {"network": {"width": 512, "multipliers": [16.0] * 5, "blocks": 8}},
    {"network": {"width": 512, "multipliers": [8.0] * 3, "blocks": 1}},
    {"network": {"multipliers": [1e300]}},
    {"network": {"multipliers": [1.0] * 1000}},
    {"network": {"multipliers": []}},
    {"network": {"width": 10**30}},
    {"network": {"width": -32}},
    {"network": {"blocks": 0}},
    {"network": {"image_channels": 0}},
    {"network": {"position_channels": 1}},
    {"network": {"position_channels": True}},
    {"network": {"position_channels": 2, "position_encoding": "learned"}},
    {"network": {"position_encoding": "guessed"}},
    {"network": "big"},
    {"conventions": {"patch_sizes": []}},
    {"conventions": {"patch_sizes": [30]}},
    {"conventions": {"patch_sizes": [0]}},
    {"conventions": {"patch_sizes": [-32]}},
    {"conventions": {"patch_sizes": [2**40]}},
    {"conventions": {"sigma_data": 0}},
    {"conventions": {"sigma_data": "NaN"}},
    {"conventions": {"window": [5.0, 5.0]}},
    {"conventions": {"window": [1.0]}},
    {"conventions": {"image_size": 10**400}},
    {"conventions": {"pad": -1}},
    {"conventions": {"pad": 10**400}},
    {"surprise": 1},
    {"name": None},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda c: json.dumps(c)[:60])
def test_hostile_records(tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them makes us build the network, which is what would cost memory."""
    record = tiny_record().model_dump(mode="json")
    for key, value in changes.items():
        record[key] = record[key] | value if isinstance(value, dict) else value
    built = network.PatchUNet

    def only_on_paper(settings: Any) -> Any:
        made = built(settings)
        assert next(made.parameters()).is_meta, "memory was spent on a hostile record"
        return made

    monkeypatch.setattr(network, "PatchUNet", only_on_paper)
    refused(write(tmp_path / "hostile.safetensors", tiny_state(), **metadata(record)))


def test_record_that_is_no_json(tmp_path: Path) -> None:
    for text in ("", "{", "[]", "null", "[" * 10_000):
        assert "damaged" in refused(
            write(tmp_path / "r.safetensors", tiny_state(), **metadata(record=None) | {"record": text})
        )


def test_unreadable_file(prior_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert "Permission denied" in refused(prior_path)
