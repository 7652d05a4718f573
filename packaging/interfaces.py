"""Try the interfaces with what they are for: `python packaging/interfaces.py` tests against napari and deepinv.

Neither is a dependency. An environment is made in --work (a temporary folder unless it is given), with uv where it is
here and else with venv; the project and both programs are installed into it, the tests that skip without them are run, and
some figures are printed. deepinv imports torchvision, of which some package indices have builds for CUDA alone: those do
not load beside a torch for CPUs. Their Python part does once the names of two of its operators are declared, which is all
that is done here, and of which deepinv calls none.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"
PROGRAMS = ("napari", "deepinv")
_TESTS = {"napari": "tests/core/test_napari.py", "deepinv": "tests/core/test_deepinv.py"}
# of deepinv; a plugin of pytest, and imported by the figures
_DECLARED = """
import torch

try:
    import torchvision
except (ImportError, RuntimeError):
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
"""
_FIGURES = {
    "napari": '''
import tempfile, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import napari, npe2
import padis_gui as pg
from napari.components import ViewerModel
from padis_gui.cli.main import main
from padis_gui.core.runs.presets import resource
with tempfile.TemporaryDirectory() as folder:
    out = Path(folder) / "iterates.tif"
    main(["reconstruct", str(resource("images/ct_slices.tif")), "--preset", "ct-20", "--steps", "6", "--seed", "1",
          "--out", str(Path(folder) / "a.tif"), "--iterates", str(out)])
    began = time.perf_counter()
    layers = ViewerModel().open(str(out), plugin="padis-gui")
    took = time.perf_counter() - began
    image, tiles = layers
    print(f"napari {napari.__version__}, npe2 {npe2.__version__}: {image.data.shape} with scale {tuple(image.scale)}, "
          f"{len(tiles.data)} tiles, opened in {took:.2f} s")
''',
    "deepinv": '''
import warnings
warnings.simplefilter("ignore")
import declared_torchvision
import deepinv, torch
import padis_gui as pg
truth = torch.from_numpy((pg.demo().pixels + 1000) / 2000).clamp(0, 1)
rows, columns = truth.shape[1:]
prior = pg.prior("ct-small", device="cpu", precision="float32")
psnr = lambda x: -10 * float(torch.log10(((x.clamp(0, 1) - truth) ** 2).mean()))
physics = deepinv.physics.Tomography(angles=20, img_width=columns)
A = pg.physics_from(physics, (1, rows, columns))
generator = torch.Generator().manual_seed(0)
x, y = torch.rand(A.image_shape, generator=generator), torch.rand(A.measurement_shape, generator=generator)
gap = abs(float((A(x) * y).sum() - (x * A.T(y)).sum())) / float(A(x).norm() * y.norm())
measured = physics.A(truth[None])
estimate = A.reconstruct(measured, prior, "fast", seed=1)
print(f"deepinv {deepinv.__version__}, Tomography of 20 views: adjoint within {gap:.1e}, norm {A.norm:.4g}; "
      f"its FBP {psnr(physics.A_dagger(measured)[0]):.2f} dB, our fast {psnr(estimate):.2f} dB")
inpainting = deepinv.physics.Inpainting(img_size=tuple(truth.shape), mask=0.5, rng=torch.Generator().manual_seed(0))
masked = inpainting(truth[None])
def run(denoiser):
    model = deepinv.optim.optim_builder(
        iteration="PGD", prior=deepinv.optim.prior.PnP(denoiser=denoiser), data_fidelity=deepinv.optim.data_fidelity.L2(),
        max_iter=20, params_algo={"stepsize": 1.0, "g_param": 0.05})
    with torch.no_grad():
        return model(masked, inpainting)[0]
ours, theirs = run(prior.as_deepinv(seed=1)), run(deepinv.models.TVDenoiser())
print(f"its plug-and-play of 20 steps at noise level 0.05, half of the pixels missing ({psnr(masked[0]):.2f} dB): "
      f"prior {psnr(ours):.2f} dB, its total variation {psnr(theirs):.2f} dB")
''',
}  # fmt: skip


def main() -> int:
    """Make the environment, run the tests, print the figures; 1 where a test failed."""
    parser = argparse.ArgumentParser(description="Test the interfaces with napari and deepinv.")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=PROGRAMS, help="one of both")
    parser.add_argument(
        "--work", type=Path, default=None, metavar="FOLDER", help="where the environment is kept"
    )
    options = parser.parse_args()
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        return _try(options.work, options.only)
    with tempfile.TemporaryDirectory(prefix="padis-gui-interfaces-") as folder:
        return _try(Path(folder), options.only)


def _try(work: Path, wanted: list[str]) -> int:
    python = work / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv = shutil.which("uv")
    if not python.is_file():
        made = [uv, "venv", "--seed", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        subprocess.run([*made, str(work / "venv")], check=True)

    def install(*packages: str) -> None:
        command = (
            [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
        )
        subprocess.run([*command, "--quiet", "--constraint", str(CONSTRAINTS), *packages], check=True)

    install(f"{ROOT}[test]")
    if "napari" in wanted:
        install("napari")
    if "deepinv" in wanted:
        install("--no-deps", "deepinv", "torchvision")
        install(*_needed(python, "deepinv", ("torch", "torchvision")))
    (work / "declared_torchvision.py").write_text(_DECLARED, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(work))),
        "QT_QPA_PLATFORM": "offscreen",
    }
    failed = False
    for program in wanted:
        plugin = ["-p", "declared_torchvision"] if program == "deepinv" else []
        tests = [
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "filterwarnings=default",
            *plugin,
            _TESTS[program],
        ]
        failed |= subprocess.run([str(python), *tests], cwd=ROOT, env=environment).returncode != 0
        figures = subprocess.run([str(python), "-c", _FIGURES[program]], cwd=work, env=environment)
        failed |= figures.returncode != 0
    return int(failed)


def _needed(python: Path, package: str, without: tuple[str, ...]) -> list[str]:
    """What a package requires without its extras, but for some."""
    code = f"import importlib.metadata as m; print(chr(10).join(m.requires({package!r}) or ()))"
    said = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout
    lines = [line.partition(";")[0].strip() for line in said.splitlines() if "extra ==" not in line]
    return [
        line
        for line in lines
        if line.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip() not in without
    ]


if __name__ == "__main__":
    sys.exit(main())
