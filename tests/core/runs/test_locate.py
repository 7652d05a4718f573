"""Files of a recipe are found by what they hold, wherever they are; nothing else is taken for them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from padis_gui.core.exports.about import carries_recipe, said_of_newer
from padis_gui.core.exports.tiff import write_tiff
from padis_gui.core.runs.differences import compared, differences
from padis_gui.core.runs.locate import locate
from padis_gui.core.runs.presets import resource
from padis_gui.core.runs.recipe import DataReference, PriorReference, Recipe
from padis_gui.core.runs.repeat import unchanged
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import file_sha256
from tests.core.exports.test_write import awkward, recipe


@pytest.fixture
def made(tmp_path: Path) -> Recipe:
    """A recipe of three files: an image, a prior, and a kernel that the problem names."""
    found = {}
    for name in ("image.tif", "prior.safetensors", "kernel.png"):
        (tmp_path / "old").mkdir(exist_ok=True)
        path = tmp_path / "old" / name
        path.write_text(f"what is in {name}", encoding="utf-8")
        found[name] = path
    image, prior, kernel = found.values()
    return recipe(
        physics="deblur", problem={"kernel": "file", "kernel_file": str(kernel)},
        data=DataReference(file=str(image), sha256=file_sha256(image)),
        prior=PriorReference(file=str(prior), sha256=file_sha256(prior)),
        files={str(kernel): file_sha256(kernel)},
    )  # fmt: skip


def test_what_is_where_it_was_needs_no_word(made: Recipe) -> None:
    found = locate(made)
    assert found.recipe == made
    assert not found.remarks
    assert not found.missing


def test_everything_is_found_in_another_folder_and_is_the_same_run(made: Recipe, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shutil.move(tmp_path / "old", new)
    (new / "image.tif").rename(new / "z renamed.tif")
    (new / "image.tif").write_text("another image of that name", encoding="utf-8")
    found = locate(made, [new])
    assert not found.missing
    assert len(found.remarks) == 3
    assert found.recipe.data.file == str(new / "z renamed.tif")
    assert found.recipe.problem["kernel_file"] == str(new / "kernel.png")
    assert found.recipe.files == {str(new / "kernel.png"): next(iter(made.files.values()))}
    assert differences(made, found.recipe) == ()


def test_bundled_files_are_found_from_anywhere(made: Recipe) -> None:
    image, prior = resource("images/photo.png"), resource("priors/ct-small.safetensors")
    elsewhere = made.model_copy(
        update={
            "data": DataReference(file="/of another/photo.png", sha256=file_sha256(image)),
            "prior": PriorReference(file="C:\\of another\\x.safetensors", sha256=file_sha256(prior)),
        }
    )
    found = locate(elsewhere)
    assert not found.missing
    assert Path(found.recipe.data.file) == image.resolve()
    assert Path(found.recipe.prior.file) == prior.resolve()


def test_what_has_changed_or_is_gone_is_missing(made: Recipe, tmp_path: Path) -> None:
    (tmp_path / "old" / "image.tif").write_text("changed", encoding="utf-8")
    (tmp_path / "old" / "prior.safetensors").unlink()
    (tmp_path / "old" / "kernel.png").unlink()
    found = locate(made, [tmp_path])
    assert [(each.what, each.changed) for each in found.missing] == [
        ("data", True), ("prior", False), ("file", False),
    ]  # fmt: skip
    for each in found.missing:
        assert each.file in each.sentence
        assert each.sha256[:12] in each.sentence
        assert str(tmp_path) in each.sentence


def test_what_is_given_is_taken_with_a_word(made: Recipe, tmp_path: Path) -> None:
    other = tmp_path / "other.tif"
    other.write_text("another image", encoding="utf-8")
    found = locate(made, data=other)
    assert found.recipe.data.sha256 == file_sha256(other)
    assert "is not the one of the run" in found.remarks[0]
    assert differences(made, found.recipe) == ("the image (was image.tif, is other.tif)",)
    missing = locate(made, prior=tmp_path / "none.safetensors").missing
    assert [each.what for each in missing] == ["prior"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_has_no_end_is_never_read(made: Recipe, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        hostile = made.model_copy(update={"data": DataReference(file=str(path), sha256="ab" * 32)})
        assert [each.what for each in locate(hostile, [tmp_path]).missing] == ["data"]
        with pytest.raises(InputError, match="neither a file nor a folder"):
            unchanged(str(path), "ab" * 32)


def test_comparing_says_how_far_apart(made: Recipe) -> None:
    pixels = awkward()
    assert compared("it", [pixels], [pixels.copy()]) == (True, "identical to it, bit for bit")
    other = pixels.copy()
    other[0, 3, 3] += 4
    same, words = compared("it", [pixels], [other], unit="HU", other=("the device",))
    assert not same
    assert words == "differs from it by at most 4 HU; different are the device"
    assert "size" in compared("it", [pixels], [pixels[:, 1:]])[1]
    negative = pixels.copy()
    negative[0, 5, 5] = -0.0
    positive = negative.copy()
    positive[0, 5, 5] = 0.0
    assert not compared("it", [negative], [positive])[0]  # other bits


@pytest.mark.parametrize(
    ("stated", "newer"),
    [("99.0", True), ("0.2.1.dev3", True), ("0.2", False), ("0.2.0", False), ("0.1.9", False), ("", False),
     ("newest", False), ("9" * 4000, True)],
)  # fmt: skip
def test_a_newer_version_of_the_program_is_said_where_its_recipe_is_opened(
    made: Recipe, stated: str, newer: bool
) -> None:
    found = locate(made.model_copy(update={"versions": {"padis_gui": stated}}))
    assert [("newer than this one" in remark) for remark in found.remarks] == [True] * newer


def test_a_recipe_that_only_a_newer_version_reads_says_so(made: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, awkward(), made.model_copy(update={"versions": {"padis_gui": "99.1"}}), {})
    assert said_of_newer(path) == ""  # this version reads it
    sidecar = tmp_path / "b.json"
    envelope = {"format": "padis-gui export", "metrics": {}, "about": {}}
    recipe = made.model_dump(mode="json") | {"gravity": 1, "versions": {"padis_gui": "99.1"}}
    sidecar.write_text(json.dumps(envelope | {"recipe": recipe}))
    assert "made by padis_gui 99.1, which is newer" in said_of_newer(sidecar)
    sidecar.write_text(json.dumps(envelope | {"recipe": recipe | {"versions": {"padis_gui": "0.1"}}}))
    assert said_of_newer(sidecar) == ""
    assert not carries_recipe(sidecar)
