"""What strangers write is bounded where it enters: amounts, depth, numbers, kinds of file, characters, messages."""

import json
import os
import string
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from padis_gui.core.exports.about import read_export
from padis_gui.core.files.scans.geometry_file import read_geometry
from padis_gui.core.prior.checkpoint import read_prior, summarise_prior
from padis_gui.core.runs.queue import read_queue
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import CheckpointError, InputError, PadisError
from padis_gui.core.settings.files import file_sha256
from padis_gui.core.settings.untrusted import MOST_JSON_BYTES, parse_json, plain, read_bounded, read_json
from padis_gui.core.studies.results import Results
from tests.core.exports.test_write import recipe
from tests.tiny import tiny_record

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=40,
)


@given(_values)
def test_json_that_is_no_larger_than_a_description_is_read_as_it_is(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60 + "]" * 60, "[" * 200_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[" + "0," * 200_001 + "0]",
        '{"a":[' + "[]," * 100_001 + '[]],"b":[' + "[]," * 100_001 + "[]]}", "NaN", "[Infinity]", '{"a": -Infinity}',
        "1" * 100_000, "[-1" + "0" * 400 + "]", " " * (MOST_JSON_BYTES + 1), "", "\x00", "[1,]",
    ],
    ids=lambda text: text[:8] + str(len(text)),
)  # fmt: skip
def test_other_json_is_refused_before_anything_looks_at_it(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("read", [read_bounded, read_json, file_sha256], ids=lambda read: read.__name__)
@pytest.mark.parametrize("kind", ["pipe", "link", "/dev/zero", "folder"])
def test_what_may_never_end_is_not_waited_for(tmp_path: Path, read: Any, kind: str) -> None:
    path = tmp_path / "a.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "/dev/zero":
        path = Path(kind)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
        path = path if kind == "link" else tmp_path / "pipe"
    with pytest.raises(OSError, match="no ordinary file"):
        read(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there are no files without a size here")
def test_a_limit_holds_also_where_the_system_says_no_size() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    with pytest.raises(ValueError, match="more than"):
        read_bounded(Path("/proc/self/status"), most=10)


@given(st.text(max_size=3000), st.integers(10, 400))
def test_a_plain_text_is_one_short_line_of_printable_characters(text: str, longest: int) -> None:
    found = plain(text, longest)
    assert found.isprintable()
    assert len(found) <= longest
    if text.isprintable() and len(text) <= longest:
        assert found == text


@given(st.text(max_size=5000) | st.text(min_size=1, max_size=100).map(lambda text: text * 10_000))
def test_no_message_is_obeyed_by_a_terminal_or_fills_it(text: str) -> None:
    for kind in (PadisError, InputError, CheckpointError):
        message = str(kind(f"A prior was wanted, but {text} came; choose another."))
        assert message.isprintable()
        assert len(message) <= 1200
        assert message.startswith("A prior was wanted, but")
        assert message.endswith("; choose another.")


_WRONG = [
    {"threads": 0}, {"threads": -1}, {"threads": 10**6}, {"threads": 2**40}, {"seed": -1}, {"seed": 2**70},
    {"measurement_seed": 2**70}, {"sample_seeds": [1, -1]}, {"stop_after": 0}, {"stop_after": -3},
    {"changes": [{"step": -1}]}, {"version": "x"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", _WRONG, ids=str)
def test_numbers_of_a_recipe_that_cannot_be_are_named_where_it_enters(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    values = recipe().model_dump(mode="json")
    assert Recipe.model_validate(values) == recipe()
    with pytest.raises(ValidationError):
        Recipe.model_validate(values | wrong)
    export = {"recipe": values | wrong, "metrics": {}, "about": {}}
    queue = {"format": "padis-gui queue", "version": 1, "runs": [{"name": "a", "recipe": values | wrong}]}
    (tmp_path / "a.json").write_text(json.dumps(export))
    (tmp_path / "q.json").write_text(json.dumps(queue))
    (name,) = wrong
    for read, file in ((read_export, "a.json"), (read_queue, "q.json")):
        with pytest.raises(InputError, match=name if file == "a.json" else "runs.0.recipe"):
            read(tmp_path / file)


def test_a_whole_number_that_no_float_holds_is_a_sentence_wherever_it_stands(tmp_path: Path) -> None:
    values = recipe().model_dump(mode="json")
    large = {"psnr": 10**400}
    for name, export in {
        "metrics": {"recipe": values, "metrics": large, "about": {}},
        "about": {"recipe": values, "metrics": {}, "about": {"sigma": 10**400}},
        "recipe": {"recipe": values | {"stop_after": 10**400}, "metrics": {}, "about": {}},
    }.items():  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(export))
        with pytest.raises(InputError):
            read_export(tmp_path / f"{name}.json")


@pytest.mark.parametrize(
    "window", [[1.0, 1.0], [2.0, 1.0], [0.0, 1e400], [-1.7e308, 1.7e308], ["nan", 1.0]], ids=str
)
def test_a_window_without_extent_is_refused(window: list[Any]) -> None:
    values = recipe().model_dump(mode="json")
    with pytest.raises(ValidationError):
        Recipe.model_validate(values | {"data": values["data"] | {"window": window}})


def test_a_volume_without_pages_is_refused(tmp_path: Path) -> None:
    export = {"recipe": recipe().model_dump(mode="json"), "metrics": {}, "about": {"kind": "volume"}}
    (tmp_path / "a.json").write_text(json.dumps(export))
    with pytest.raises(InputError, match="at least one page"):
        read_export(tmp_path / "a.json")


def test_names_in_a_queue_are_plain(tmp_path: Path) -> None:
    runs = [{"name": "\x1b]0;title\x07\x1b[2Ja\u202eb", "recipe": recipe().model_dump(mode="json")}]
    (tmp_path / "q.json").write_text(json.dumps({"format": "padis-gui queue", "version": 1, "runs": runs}))
    assert read_queue(tmp_path / "q.json")[0].name == "?]0;title??[2Ja?b"


@pytest.mark.parametrize("half", ["\\ud800", "a\\udcff", "\\udc00\\ud800"])
@pytest.mark.parametrize("place", ["unit", "name", "metrics"])
def test_half_a_character_is_refused_before_anything_is_computed(
    tmp_path: Path, half: str, place: str
) -> None:
    """JSON can say it, and no file can hold it: the result of such a recipe could not be written."""
    found = recipe().model_dump(mode="json")
    if place == "unit":
        found["data"]["unit"] = "HALF"
    runs = [{"name": "HALF" if place == "name" else "a", "recipe": found}]
    queue = {"format": "padis-gui queue", "version": 1, "runs": runs}
    about = {
        "format": "padis-gui export",
        "recipe": found,
        "metrics": {"HALF" if place == "metrics" else "psnr": 1.0},
    }
    if place != "metrics":
        (tmp_path / "q.json").write_text(json.dumps(queue).replace("HALF", half))
        with pytest.raises(InputError, match="queue"):
            read_queue(tmp_path / "q.json")
    if place != "name":
        for text, sound in ((json.dumps(about), True), (json.dumps(about).replace("HALF", half), False)):
            (tmp_path / "a.json").write_text(text)
            if sound:
                read_export(tmp_path / "a.json")
            else:
                with pytest.raises(InputError, match="recipe"):
                    read_export(tmp_path / "a.json")


def _native(record: str) -> bytes:
    metadata = {"format": "padis-gui prior", "version": "1", "record": record}
    header = json.dumps({"__metadata__": metadata}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize("faulty", ["[]", "null", '"x"', "{}"])
def test_a_million_faulty_values_take_no_memory_and_no_time(tmp_path: Path, faulty: str) -> None:
    """A model collects an error for each: more than a kilobyte."""
    many = ",".join([faulty] * 1_000_000)
    (tmp_path / "g.json").write_text(
        f'{{"format":"padis-gui scan geometry","beam":"parallel","angles":[{many}]}}'
    )
    (tmp_path / "r.json").write_text(f'{{"recipe":{{"sample_seeds":[{many}]}},"metrics":{{}}}}')
    (tmp_path / "q.json").write_text(f'{{"format":"padis-gui queue","version":1,"runs":[{many}]}}')
    (tmp_path / "p.safetensors").write_bytes(
        _native(f'{{"name":"x","network":{{}},"conventions":{{"patch_sizes":[{many}]}}}}')
    )
    began = time.process_time()
    tracemalloc.start()
    try:
        for read, file in (
            (read_geometry, "g.json"), (read_export, "r.json"), (read_queue, "q.json"), (summarise_prior, "p.safetensors"),
        ):  # fmt: skip
            with pytest.raises(PadisError) as caught:
                read(tmp_path / file)
            assert len(str(caught.value)) < 400
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500 * 2**20
    assert time.process_time() - began < 40


@pytest.mark.parametrize("size", [5 * 10**9, 1 << 37, 1 << 43])
def test_a_prior_that_declares_more_than_memory_can_map_is_a_sentence(tmp_path: Path, size: int) -> None:
    """And what is too large is not called damaged."""
    path = tmp_path / "s.safetensors"
    tensor = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    metadata = {"format": "padis-gui prior", "version": "1", "record": tiny_record().model_dump_json()}
    header = json.dumps({"__metadata__": metadata, "a": tensor}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        try:
            file.truncate(8 + len(header) + size)
        except OSError:
            pytest.skip("the disk has no files with holes of this size")
    for read in (summarise_prior, read_prior):
        with pytest.raises(CheckpointError, match="at most 4 GB was wanted"):
            read(path)


def test_lines_of_results_end_at_newlines_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "a\u2028b\u0085c"  # str.splitlines would end a line at both
    good = json.dumps({"key": key, "metrics": {"psnr": 1.0}, "error": ""}, ensure_ascii=False)
    deep = "[" * 100_000
    (tmp_path / "r.jsonl").write_text(f"{good}\n{deep}\n", encoding="utf-8")
    found = Results(tmp_path / "r.jsonl").metrics
    assert found == {key: {"psnr": 1.0}}
    assert "cannot be read" in caplog.text


def test_the_words_that_control_a_terminal_are_not_printable() -> None:
    """What the other tests rest on."""
    assert not any(chr(code).isprintable() for code in [*range(32), *range(127, 160), 0x202E, 0x2066, 0xDC80])
    assert (string.ascii_letters + string.punctuation + " äσ—😀").isprintable()
