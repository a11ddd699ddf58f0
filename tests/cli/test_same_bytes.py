"""A file's bytes, its recipe included, follow from the scene: not from the way to it or the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0]}
background: {prompt: grass, image: photo.png}
regions:
- {name: möon, prompt: the moon, mask: masks/moon.png}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a scene, links to it, and its picture."""
    folder = tmp_path_factory.mktemp("same")
    (folder / "scenes/masks").mkdir(parents=True)
    (folder / "other").mkdir()
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 24, 24))
    mask.save(folder / "scenes/masks/moon.png")
    Image.new("RGB", (64, 64), "teal").save(folder / "scenes/photo.png")
    (folder / "scenes/s.yaml").write_text(SCENE, encoding="utf-8")
    (folder / "link").symlink_to(folder / "scenes")
    assert smd("generate", str(folder / "scenes/s.yaml"), "-o", str(folder / "s.png")).exit_code == 0
    return folder


@pytest.mark.parametrize(
    ("directory", "scene"),
    [("scenes", "s.yaml"), ("other", "../scenes/s.yaml"), (".", "link/s.yaml"), ("scenes", "-")],
)
def test_whatever_the_way_to_the_scene(folder, tmp_path, monkeypatch, directory, scene):
    monkeypatch.chdir(folder / directory)
    text = (folder / "scenes/s.yaml").read_text(encoding="utf-8")
    done = smd("generate", scene, "-o", str(tmp_path / "again.png"), stdin=text if scene == "-" else None)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "again.png").read_bytes() == (folder / "s.png").read_bytes()


def test_whatever_the_environment(folder, tmp_path):
    unlike = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "77", "COLUMNS": "20"}
    alike = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "smd_cli", "generate", "scenes/s.yaml", "--output-dir", str(tmp_path)]
    subprocess.run(command, cwd=folder, env=os.environ | unlike | alike, umask=0o077, check=True)
    assert Path(tmp_path / "s_5.png").read_bytes() == (folder / "s.png").read_bytes()
