"""One picture, whoever makes it: a command, a batch here, in workers or on Ray, a script."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENE = """\
smd: 1
canvas: {width: 128, height: 96}
sampler: {indices: [0, 12, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {ellipse: [0.3, 0.3, 0.2, 0.2]}, mask_std: 4}
  - {name: house, prompt: a red house, mask: {box: [0.5, 0.3, 0.9, 0.9]}}
"""
SCRIPT = """\
import smd_cli as smd

if __name__ == "__main__":
    scene = smd.load_scene("../day.yaml")
    with smd.Renderer() as renderer:
        for seed in (1, 2):
            renderer.render(scene, seed=seed).save(f"day_{seed}.png")
"""
BATCH = ["-m", "smd_cli", "render", "../day.yaml", "--seed", "1,2", "-q"]
WAYS = {
    "render": BATCH,
    "workers": [*BATCH, "--workers", "2"],
    "api": ["script.py"],
    **({"ray": [*BATCH, "--engine", "ray"]} if find_spec("ray") else {}),
}


@pytest.mark.slow
def test_a_picture_is_the_same_whoever_makes_it(tmp_path):
    """Each is a process of its own, with the threads that torch chooses by itself."""
    (tmp_path / "day.yaml").write_text(SCENE)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(ROOT)

    def run(way: str, *arguments: str) -> list[bytes]:
        folder = tmp_path / way
        folder.mkdir(exist_ok=True)
        (folder / "script.py").write_text(SCRIPT)
        subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True)
        return [path.read_bytes() for path in sorted(folder.glob("day_*.png"))]

    for seed in ("1", "2"):  # a process for each
        expected = run("generate", "-m", "smd_cli", "generate", "../day.yaml", "--seed", seed, "-q")
    assert len(set(expected)) == 2
    for way, arguments in WAYS.items():
        assert run(way, *arguments) == expected, way
