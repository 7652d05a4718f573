"""What a newcomer's first minutes rest on: the README's commands, the pinned versions, the bundled files."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN, TEST = "python3 packaging/run.py", "python3 packaging/test.py"


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> dict[str, str]:
    lines = (ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pairs}


def wanted() -> set[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    lines = (
        PROJECT["project"]["dependencies"]
        + [line for extra in extras.values() for line in extra]
        + PROJECT["build-system"]["requires"]
    )
    names = {normal(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in lines}  # type: ignore[index]
    return names - {"padis-gui"}


def test_readme_gives_two_commands_that_exist():
    assert f"\n{RUN}\n" in README
    assert f"\n{TEST}\n" in README
    for command in (RUN, TEST):
        assert (ROOT / command.split()[1]).is_file()


def test_ci_ends_with_the_readmes_test_command():
    """What CI runs last is the script that the README names, by whatever Python CI was given."""
    commands = [line for line in CI.splitlines() if line and not line.startswith("#")]
    assert commands[-2:] == [f'"$python" {TEST.split()[1]} || failed=1', 'exit "$failed"']
    assert "python=${PYTHON:-python3}" in CI


def test_ci_runs_every_check_of_pre_commit():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for check in ("ruff check", "ruff format", "mypy", "lint-imports"):
        assert f"check {check}" in CI
        assert f"entry: {check}" in hooks


def test_constraints_pin_every_dependency_exactly():
    assert wanted() <= set(constraints())
    assert "padis-gui" not in constraints()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in constraints().values())


def test_constraints_lie_within_the_declared_ranges():
    packaging = pytest.importorskip("packaging.requirements")
    pinned = constraints()
    for line in PROJECT["project"]["dependencies"]:
        requirement = packaging.Requirement(line)
        assert requirement.specifier.contains(pinned[normal(requirement.name)]), line


def test_this_environment_has_the_pinned_versions():
    pinned = constraints()
    for distribution in importlib.metadata.distributions():
        name = normal(distribution.metadata["Name"])
        if name in pinned:
            assert distribution.version.split("+")[0] == pinned[name], (
                name
            )  # +cpu, +cu130: builds of one version


def test_nothing_that_runs_here_is_left_unpinned():
    """Every dependency of ours, and of theirs, that is installed has its version in the constraints."""
    packaging = pytest.importorskip("packaging.requirements")
    pinned, seen = constraints(), set()
    waiting = {normal(packaging.Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = [packaging.Requirement(line) for line in lines]
        waiting |= {normal(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})}
    installed = {normal(d.metadata["Name"]) for d in importlib.metadata.distributions()}
    # a CUDA build of torch brings packages of its own
    foreign = {name for name in seen if name.startswith(("nvidia-", "triton", "cuda-"))}
    assert (seen & installed) - foreign <= set(pinned)


def test_notice_names_every_bundled_file():
    notice = (ROOT / "resources" / "NOTICE").read_text(encoding="utf-8")
    groups = [word.strip(",;:") for word in notice.split() if "*" in word]
    for path in (ROOT / "resources").rglob("*"):
        if path.is_file() and path.name != "NOTICE":
            assert path.name in notice or any(path.match(group) for group in groups), path


def test_bundled_slices_are_small_and_in_hounsfield_units():
    from padis_gui.core.files.formats.open import count_pages
    from padis_gui.core.files.read import read_image
    from padis_gui.core.runs.presets import DEMO_IMAGE, resource

    path = resource(DEMO_IMAGE)
    assert path.stat().st_size < 2**20
    assert count_pages(path) == 4
    for page in range(4):
        image = read_image(path, page)
        assert (image.shape, image.unit) == ((256, 256), "HU")


def test_bundled_slices_are_the_published_ones_unchanged(shared):
    import numpy as np
    import tifffile

    from padis_gui.core.runs.presets import DEMO_IMAGE, resource

    bundled = tifffile.imread(resource(DEMO_IMAGE))
    originals = tifffile.imread(shared / "data" / "ct_val_256.tif")
    assert bundled.dtype == originals.dtype
    assert all(any(np.array_equal(page, original) for original in originals) for page in bundled)


def test_bundled_priors_are_small_and_readable():
    from padis_gui.core.prior.checkpoint import read_record
    from padis_gui.core.runs.presets import cards

    priors = sorted((ROOT / "resources" / "priors").glob("*.safetensors"))
    assert [path.stem for path in priors] == sorted(cards())
    for path in priors:
        assert path.stat().st_size <= 12 * 2**20
        assert read_record(path).name == path.stem
    assert sum(path.stat().st_size for path in priors) <= 50 * 2**20


@pytest.mark.parametrize(
    ("device", "name"), [("cpu", "ct-small"), ("cuda", "ct-medium"), ("cuda:1", "ct-medium")]
)
def test_a_gpu_gets_the_larger_prior(device, name):
    from padis_gui.core.runs.presets import bundled_prior

    assert bundled_prior("ct-parallel", device).stem == name


def test_what_was_really_scanned_gets_the_prior_for_anything_scanned():
    from padis_gui.core.runs.presets import bundled_prior

    for device in ("cpu", "cuda"):
        for physics in ("ct-parallel", "ct-fan"):
            assert bundled_prior(physics, device, scanned=True).stem == "general"


def test_the_prior_across_slices_is_offered_for_volumes_only():
    from padis_gui.core.prior.checkpoint import read_record, slices_of
    from padis_gui.core.runs.presets import VOLUME_PRIOR, bundled_across, bundled_priors, resource

    assert set(bundled_across()) == {resource(VOLUME_PRIOR)}
    for path, card in (bundled_across() | bundled_priors()).items():
        assert slices_of(read_record(path))["slices"] == card.slices


def test_a_gpu_gets_the_prior_for_photographs_that_there_is():
    from padis_gui.core.runs.presets import bundled_prior

    assert bundled_prior("deblur", "cuda") == bundled_prior("deblur", "cpu")


def test_notice_names_the_priors_as_they_are():
    import hashlib

    notice = (ROOT / "resources" / "NOTICE").read_text(encoding="utf-8")
    for path in (ROOT / "resources" / "priors").glob("*.safetensors"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in notice


def test_readmes_python_runs(tmp_path):
    """The README's first Python block, on the bundled image."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert 'pg.open("scan.dcm")' in code[1]
    script = tmp_path / "readme.py"
    script.write_text(code[1].replace('pg.open("scan.dcm")', "pg.demo()"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "(1, 256, 256) result.tif" in done.stdout
    assert (tmp_path / "result.tif").is_file()
    assert len(done.stdout.splitlines()) == 5


def test_every_place_that_names_the_version_names_this_one():
    from padis_gui import __version__

    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## \[([^]]+)\] - (\S+)", changes, re.MULTILINE)
    assert first is not None
    assert first[1] == __version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\ndate-released: {first[2]}\n" in citation


def test_the_citations_title_and_authors_are_those_of_the_readme():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    title = re.search(r"\n  title: \"(.*)\"", citation)
    assert title is not None
    assert f"title = {{{title[1]}}}" in README
    names = re.findall(r"family-names: (.*)\n +given-names: (.*)", citation)
    assert " and ".join(f"{family}, {given}" for family, given in names) in README


def test_forms_for_issues_are_complete():
    yaml = pytest.importorskip("yaml")
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"]
        assert form["description"]
        assert any(field.get("validations", {}).get("required") for field in form["body"]), path
        assert all(field["attributes"]["label"] for field in form["body"])


def test_a_large_download_is_said_before_it_begins(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "packaging"))
    import bootstrap

    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert "several GB" in bootstrap.download_size()
    assert (ROOT / "docs" / "install.md").is_file()
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///wheels")
    assert bootstrap.download_size() == "several hundred MB"


def test_an_old_python_is_told_so():
    """The version is checked before anything that an old Python cannot do."""
    source = (ROOT / "packaging" / "bootstrap.py").read_text(encoding="utf-8")
    assert source.index("sys.version_info < (3, 11)") < source.index("import hashlib")
    compile(source, "bootstrap.py", "exec", flags=0)
