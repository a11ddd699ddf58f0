"""A second run with --skip-existing needs neither torch nor a model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smd_cli import Renderer, load_scene
from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
"""
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["diffusers"] = sys.modules["transformers"] = None
from smd_cli.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def rendered():
    with Renderer() as renderer:
        return renderer.render(load_scene(SCENE), seed=0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("day.yaml").write_text(SCENE)


def test_a_second_run_imports_no_torch():
    arguments = ["render", "day.yaml", "--seed", "1,2", "--skip-existing"]
    assert smd(*arguments).exit_code == 0
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.count("exists, skipped") == 2


@pytest.mark.parametrize("suffix", ["png", "jpg", "avif"])
def test_a_picture_whose_end_is_missing_is_rendered_again(rendered, suffix):
    path = Path(f"day_0.{suffix}")
    rendered.save(path)
    arguments = (
        "render",
        "day.yaml",
        "--name",
        f"{{scene}}_{{seed}}.{suffix}",
        "--skip-existing",
        "--dry-run",
    )
    assert smd(*arguments).output == f"note: {path}: exists, skipped\n"
    path.write_bytes(path.read_bytes()[:-30])
    assert smd(*arguments).output == f"note: {path}: is cut off; rendered again\n{path}\n"
