"""Checkpoints and descriptions with faults in their fields are accepted or refused in one sentence, in 10 s and 1 GB."""

import os
from pathlib import Path

import pytest

from tests.fuzzing import check_told, fuzz

_CHECKPOINTS, _DESCRIPTIONS = "tests.core.prior.fuzzing", "tests.core.runs.fuzzing"
# module, kind, inputs: some; many more are read by the modules themselves
KINDS = (
    (_CHECKPOINTS, "native", 400), (_CHECKPOINTS, "published", 200), (_DESCRIPTIONS, "recipe", 300),
    (_DESCRIPTIONS, "TIFF", 200), (_DESCRIPTIONS, "queue", 200), (_DESCRIPTIONS, "geometry", 300),
    (_DESCRIPTIONS, "results", 300),
)  # fmt: skip

pytestmark = pytest.mark.skipif(os.name == "nt", reason="memory and time are bounded by means of POSIX")


@pytest.mark.parametrize(("module", "kind", "count"), KINDS, ids=lambda value: str(value))
def test_what_strangers_write_is_accepted_or_one_sentence(
    module: str, kind: str, count: int, tmp_path: Path
) -> None:
    check_told(module, kind, count, tmp_path, fuzz(module, kind, 0, count, tmp_path))


def test_every_kind_is_among_them() -> None:
    from tests.core.prior import fuzzing as checkpoints
    from tests.core.runs import fuzzing as descriptions

    refused_at_once = {"zip"}  # by its first two bytes
    assert {kind for _, kind, _ in KINDS} == {*checkpoints.KINDS, *descriptions.KINDS} - refused_at_once
