"""Every kind of bad input ends with exit code 2 and exactly one line on standard error."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main

IMAGE, PRIOR, OUT = "{image}", "{prior}", "{out}"
GOOD = {"input": IMAGE, "--prior": PRIOR, "--out": OUT, "--steps": "2", "--device": "cpu"}


@pytest.fixture
def places(phantom_path: Path, prior_path: Path, tmp_path: Path) -> dict[str, str]:
    """Names that the tables below may use."""
    (tmp_path / "words.txt").write_text("words\n")
    (tmp_path / "two\nlines.txt").write_text("words\n")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = phantom_path.read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.safetensors").write_bytes(prior_path.read_bytes()[:500])
    stack = np.zeros((5, 32, 32), np.int16)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    (tmp_path / "cutstack.tif").write_bytes((tmp_path / "stack.tif").read_bytes()[:600])
    np.save(tmp_path / "nan.npy", np.full((32, 32), np.nan))
    from PIL import Image as Pillow

    Pillow.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "picture.png")
    return {
        "image": str(phantom_path),
        "prior": str(prior_path),
        "out": str(tmp_path / "o.tif"),
        "tmp": str(tmp_path),
    }


def one_line(error: str) -> str:
    lines = error.splitlines()
    assert len(lines) == 1, error
    assert "Traceback" not in error
    assert lines[0].startswith("padis-gui")
    return lines[0]


BAD: list[tuple[dict[str, str], str]] = [
    ({"--views": "0"}, "1 to 2000"),
    ({"--views": "-3"}, "1 to 2000"),
    ({"--views": "abc"}, "'abc' was given"),
    ({"--views": "2.5"}, "'2.5' was given"),
    ({"--views": ""}, "1 to 2000"),
    ({"--steps": "0"}, "1 to 10000"),
    ({"--steps": "nan"}, "'nan' was given"),
    ({"--noise": "-1"}, "0 to 1"),
    ({"--noise": "nan"}, "'nan' was given"),
    ({"--noise": "inf"}, "'inf' was given"),
    ({"--patch": "40"}, "trained on"),
    ({"--patch": "7"}, "8 to 4096"),
    ({"--patch": "30"}, "divisible by 4"),
    ({"--patch": "64"}, "trained on"),
    ({"--solver": "magic"}, "one of fast, quality"),
    ({"--preset": "mri"}, "ct-20"),
    ({"--device": "tpu"}, "auto, cpu, cuda"),
    ({"--device": "cuda:99"}, "CUDA"),
    ({"--tiling": "spiral"}, "'spiral' was given"),
    ({"--precision": "float8"}, "--precision"),
    ({"--seed": "-1"}, "seed"),
    ({"--seed": "many"}, "--seed"),
    ({"--seed": "99999999999999999999"}, "seed"),
    ({"--page": "1"}, "page"),
    ({"--page": "-1"}, "page"),
    ({"--page": "x"}, "--page"),
    ({"input": "{tmp}/stack.tif", "--page": "5"}, "pages 0 to 4"),
    ({"--set": "zeta"}, "NAME=VALUE"),
    ({"--set": "zeal=3"}, "'zeal' is not a setting"),
    ({"--set": "zeta=nan"}, "0 to 1"),
    ({"--set": "sigma_max=0.001"}, "sigma_min < sigma_max"),
    ({"--prior": "{tmp}/none.safetensors"}, "does not exist"),
    ({"--prior": "{tmp}"}, "is a folder"),
    ({"--prior": "{tmp}/picture.png"}, "another kind of file"),
    ({"--prior": "{tmp}/words.txt"}, "another kind of file"),
    ({"--prior": "{tmp}/cut.safetensors"}, "cut short"),
    ({"--out": "{tmp}/none/o.tif"}, "does not exist"),
    ({"--out": "{tmp}"}, "is a folder"),
    ({"--out": "{tmp}/o.png"}, "does not end in .tif"),
    ({"--out": IMAGE}, "is the input"),
    ({"--report": "{tmp}/none/r.json"}, "does not exist"),
    ({"--report": OUT}, "is the result already"),
    ({"input": "{tmp}/words.txt"}, "words.txt"),
    ({"input": "{tmp}/two\nlines.txt"}, "two?lines.txt"),
    ({"input": "{tmp}/none.png"}, "does not exist"),
    ({"input": "{tmp}"}, "Images of one size"),
    ({"input": "{tmp}/empty.png"}, "is empty"),
    ({"input": "{tmp}/cut.tif"}, "cut.tif"),
    ({"input": "{tmp}/cutstack.tif", "--page": "3"}, "cutstack.tif"),
    ({"input": "{tmp}/nan.npy"}, "NaN"),
    ({"input": "{tmp}/" + "long" * 100}, "too long"),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=lambda v: str(v)[:50].replace("\n", " "))
def test_bad_input(
    changes: dict[str, str], said: str, places: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    options = {k: v.format(**places) for k, v in (GOOD | changes).items()}
    arguments = ["reconstruct", options.pop("input"), *[part for pair in options.items() for part in pair]]
    try:
        code = main(arguments)
    except SystemExit as exit_of_argparse:
        code = int(str(exit_of_argparse.code))
    told = capfd.readouterr()
    assert code == 2
    assert said in one_line(told.err)
    assert told.out == ""
    assert not Path(places["out"]).exists()
    assert Path(places["image"]).stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["reconstruct"], ["reconstruct", "a.png"], ["reconstruct", "a.png", "--out"],
     ["reconstruct", "a.png", "--out", "o.tif", "--wings", "2"], ["train"], ["--wings"]],
)  # fmt: skip
def test_bad_command_lines(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "--help" in one_line(capfd.readouterr().err)


@pytest.mark.parametrize(
    "changes", [{"--views": "abc"}, {"input": "{tmp}/cutstack.tif"}, {"--prior": "{tmp}/picture.png"}]
)
def test_in_a_process_of_its_own(changes: dict[str, str], places: dict[str, str]) -> None:
    options = {k: v.format(**places) for k, v in (GOOD | changes).items()}
    arguments = ["reconstruct", options.pop("input"), *[part for pair in options.items() for part in pair]]
    done = subprocess.run(
        [sys.executable, "-m", "padis_gui", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    one_line(done.stderr)


TRAIN_BAD: list[tuple[list[str], str]] = [
    (["{tmp}/none.tif"], "does not exist"),
    (["{tmp}/words.txt"], "words.txt"),
    (["{tmp}/stack.tif", "--steps", "0"], "Steps must be at least 1"),
    (["{tmp}/stack.tif", "--window", "5"], "LOW,HIGH"),
    (["{tmp}/stack.tif", "--window", "5,5"], "LOW < HIGH"),
    (["{tmp}/stack.tif", "--patch-sizes", "16,x"], "Patch sizes"),
    (["{tmp}/stack.tif", "--patch-sizes", "16"], "as many patch probabilities"),
    (["{tmp}/stack.tif", "--patch-sizes", "18", "--patch-probabilities", "1"], "divisible by"),
    (["{tmp}/stack.tif", "--subjects", "{tmp}/words.txt"], "columns page and patient"),
    (["{tmp}/stack.tif", "--device", "tpu"], "auto, cpu"),
    (["{tmp}/stack.tif", "--multipliers", "0,0"], "multipliers"),
]


@pytest.mark.parametrize(("arguments", "said"), TRAIN_BAD, ids=lambda v: str(v)[:60])
def test_bad_training(
    arguments: list[str], said: str, places: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    filled = [a.format(**places) for a in arguments]
    code = main(["train", *filled, "--out", f"{places['tmp']}/run", "--image-size", "32"])
    told = capfd.readouterr()
    assert code == 2
    assert said in one_line(told.err)


def test_training_into_a_file(places: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    words = f"{places['tmp']}/words.txt"
    options = ["--image-size", "32", "--patch-sizes", "16", "--patch-probabilities", "1", "--width", "32"]
    assert main(["train", f"{places['tmp']}/stack.tif", "--out", words, *options]) == 2
    assert "cannot be made" in one_line(capfd.readouterr().err)
