"""The workflow that the docs give for CI, and the lock of the project's own scenes, which it verifies."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from smd_cli.app.lock.lockfile import read_lock
from tests.cli.program import FLATLAND, smd

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "scenes/smd.lock"
WORKFLOW = yaml.safe_load((ROOT / "docs/ci/github.yml").read_text(encoding="utf-8"))
JOB = WORKFLOW["jobs"]["verify"]
RUNS = [step["run"] for step in JOB["steps"] if "run" in step and step["name"] != "Install"]
SCRIPT = ROOT / "docs/ci/verify.sh"
STILLS = [
    path.name
    for path in sorted((ROOT / "scenes").glob("*.yaml"))
    if yaml.safe_load(path.read_text(encoding="utf-8")).get("task") != "stream"  # they have no latents
]
SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
bootstrap: {steps: 1}
model: ./model
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
"""


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """A copy of the project's scenes and their lock."""
    shutil.copytree(ROOT / "scenes", tmp_path / "scenes")
    monkeypatch.chdir(tmp_path / "scenes")
    return STILLS


def test_the_lock_holds_every_ready_picture_as_it_is_now(scenes):
    assert sorted({picture.scene for picture in read_lock(LOCK).pictures}) == scenes
    done = smd("render", *scenes, "--locked", "--dry-run")
    assert done.exit_code == 0, done.stderr


def test_the_lock_was_made_where_rounding_differs_least():
    computed = {
        (picture.recipe.computation["device"].partition(" ")[0], picture.recipe.computation["dtype"])
        for picture in read_lock(LOCK).pictures
        if picture.recipe.computation
    }
    assert computed == {("cpu", "float32")}


def test_a_scene_that_changes_is_not_what_the_lock_holds(scenes):
    corner = Path("corner.yaml")
    corner.write_text(corner.read_text().replace("a red house", "a blue house"))
    with Image.open("masks/boy.png") as mask:
        rgba = mask.convert("RGBA")
    rgba.putpixel((0, 0), (255, 255, 255, 255 - rgba.getpixel((0, 0))[3]))
    rgba.save("masks/boy.png")
    done = smd("render", *scenes, "--locked", "--dry-run")
    assert done.exit_code == 7
    assert "regions[0].prompt: 'a red house' in smd.lock, now 'a blue house'" in done.stderr
    assert "times_square.yaml:15:11: regions[0].mask: is another file" in done.stderr


@pytest.mark.slow
def test_the_project_s_scenes_make_the_pictures_that_the_lock_holds(scenes, tmp_path):
    """What the workflow does, on whatever this machine is, in this process."""
    (verify,) = [run for run in RUNS if "smd verify" in run]
    done = smd(*verify.split()[1:])
    assert done.exit_code == 0, done.stderr
    held = len(read_lock(LOCK).pictures)  # more than scenes: one has a matrix
    assert done.stdout.count(": same\n") == held > len(scenes)
    assert f'tests="{held}"' in Path("report.xml").read_text(encoding="utf-8")


def test_the_two_forms_for_ci_run_the_same_commands():
    text = SCRIPT.read_text().replace('check "$@"', "check *.yaml")  # which it takes where none is given
    assert [line for line in text.splitlines() if line.startswith("smd ")] == RUNS
    (kept,) = [step["with"]["path"] for step in JOB["steps"] if "upload-artifact" in step.get("uses", "")]
    folder = JOB["defaults"]["run"]["working-directory"]
    options = re.findall(r"--(?:junit|diff) (\S+)", RUNS[-1])
    assert kept.split() == [f"{folder}/{name}" for name in options]
    assert os.access(SCRIPT, os.X_OK)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one small scene, a mask, a model of its own and a lock; `smd` is on the path."""
    folder = tmp_path / JOB["defaults"]["run"]["working-directory"]
    shutil.copytree(FLATLAND, folder / "model")
    Image.new("L", (64, 64), 255).save(folder / "sun.png")
    (folder / "day.yaml").write_text(SCENE)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/smd"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m smd_cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(folder)
    assert smd("lock", "day.yaml", "--dtype", "float32").exit_code == 0
    return folder


def paint_over_mask() -> None:
    Image.new("L", (64, 64), 200).save("sun.png")


def reword_prompt() -> None:
    Path("day.yaml").write_text(SCENE.replace("grass", "snow"))


def change_weights() -> None:
    weights = next(Path("model/unet").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-2] ^= 1  # the last bit of a weight
    weights.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["workflow", "script"])
def test_the_workflow_fails_where_a_scene_a_mask_or_the_model_changes(repository, form):
    command = "\n".join(RUNS) if form == "workflow" else str(SCRIPT)

    def runs() -> int:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=repository, check=False)
        return done.returncode

    assert runs() == 0
    changes = (reword_prompt, paint_over_mask, change_weights) if form == "workflow" else (reword_prompt,)
    for change in changes:
        kept = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
        change()
        assert runs() == 7, change.__name__
        assert "<failure" in (repository / "report.xml").read_text(encoding="utf-8")
        for path, data in kept.items():
            path.write_bytes(data)
