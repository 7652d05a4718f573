"""Each bundled prior has a card, which inspect, the window and the handbook show; the user's own priors are found."""

import shutil
from pathlib import Path

import pytest

from padis_gui.api.opening import prior as open_prior
from padis_gui.cli.main import main
from padis_gui.core.prior.checkpoint import read_record
from padis_gui.core.runs.presets import bundled_across, bundled_priors, card_of, cards, own_priors
from padis_gui.core.settings.errors import CheckpointError
from padis_gui.core.settings.files import HOME_VARIABLE

HANDBOOK = Path(__file__).parents[3] / "docs" / "priors.md"


def test_every_bundled_prior_has_a_card_that_says_everything() -> None:
    found = bundled_priors() | bundled_across()
    assert {path.stem for path in found} == set(cards())
    for path, card in found.items():
        assert all(text.strip() for _, text in card.lines)
        assert card.measured
        low, high = read_record(path).conventions.window
        assert f"{low:g} to {high:g}" in card.trained_on + card.suits


def test_the_handbook_has_the_cards_as_they_are() -> None:
    text = HANDBOOK.read_text(encoding="utf-8")
    for name, card in cards().items():
        section = text.split(f"## {name}\n")[1].split("\n## ")[0]
        assert card.summary in section
        for heading, line in card.lines:
            assert f"- **{heading}**: {line}\n" in section


def test_inspect_shows_the_card_of_a_bundled_prior_only(
    tmp_path: Path, prior_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(iter(bundled_priors()))
    assert main(["inspect", "--card", str(path), str(prior_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    card = bundled_priors()[path]
    assert lines[1:-1] == [f"  {heading}: {text}" for heading, text in card.lines]
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    assert card_of(path) == card
    assert card_of(copy) is None  # what somebody calls ct-small need not be it


def test_priors_of_the_user_are_found_by_their_names(
    tmp_path: Path, prior_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    assert own_priors() == ()
    folder = tmp_path / "priors"
    folder.mkdir()
    (folder / "notes.txt").write_text("no prior")
    for name in ("teeth", "ct-small"):
        shutil.copy(prior_path, folder / f"{name}.safetensors")
    assert [path.stem for path in own_priors()] == ["ct-small", "teeth"]
    assert open_prior("teeth").path == folder / "teeth.safetensors"
    assert open_prior("ct-small").path in bundled_priors()  # a bundled name means the bundled file
    with pytest.raises(CheckpointError, match="one of ct-small, teeth, ct-medium"):
        open_prior("walnuts")
