"""`smd inpaint` and `smd panorama` on the embedded model; what they share with generate is tested there."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smd_cli.media.recipe import read_recipe
from tests.cli.program import pixels, smd

QUICK = ["--set", "sampler.indices=[0,25]", "--set", "bootstrap.steps=0"]

PHOTO = """\
smd: 1
background: {prompt: grass, image: photo.png}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0.25, 0.25, 0.75, 0.75]}}
"""

STRIP = """\
smd: 1
canvas: {width: 512, height: 128}
background: {prompt: grass}
"""


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A scene with a picture whose sides are no multiples of 8."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (100, 204, 3), dtype=np.uint8)
    Image.fromarray(noise).save("photo.png")
    Path("photo.yaml").write_text(PHOTO)
    return "photo.yaml"


@pytest.fixture
def strip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("strip.yaml").write_text(STRIP)
    return "strip.yaml"


def test_inpaint_leaves_what_no_mask_covers(photo):
    done = smd("inpaint", photo, *QUICK)
    assert (done.exit_code, done.stdout) == (0, "photo_0.png\n"), done.stderr
    before, after = pixels("photo.png"), pixels("photo_0.png")
    assert after.shape == before.shape
    inside = np.zeros(before.shape[:2], bool)
    inside[25:75, 51:153] = True
    assert (before == after)[~inside].all()
    assert abs(before - after)[inside].mean() > 10


def test_inpaint_goes_on_beyond_the_edges_of_a_placed_picture(photo):
    scene = "background: {prompt: grass, image: photo.png, place: [0, 0]}"
    Path("wide.yaml").write_text(f"smd: 1\ncanvas: {{width: 296, height: 96}}\n{scene}\n")
    assert smd("inpaint", "wide.yaml", *QUICK, "-o", "a.png").exit_code == 0
    before, after = pixels("photo.png")[:96], pixels("a.png")
    assert (before[:, :100] == after[:, :100]).all()
    repeated_edge = before[:, -1:]
    assert abs(after[:, 204:] - repeated_edge).mean() > 10


def test_inpaint_tells_the_size_that_it_wrote(photo):
    report = json.loads(smd("inpaint", photo, *QUICK, "--json").stdout)
    assert [(output["width"], output["height"]) for output in report["outputs"]] == [(204, 100)]


def test_an_inpainted_picture_tells_how_to_make_it_again(photo):
    assert smd("inpaint", photo, *QUICK, "-o", "a.png").exit_code == 0
    Path("again.yaml").write_text(smd("inspect", "a.png", "--scene").stdout)
    assert smd("inpaint", "again.yaml", "-o", "b.png").exit_code == 0
    assert (pixels("a.png") == pixels("b.png")).all()
    Image.open("photo.png").rotate(180).save("photo.png")
    assert smd("inpaint", "again.yaml", "-o", "c.png").exit_code == 0
    made = [read_recipe(Path(name)).digests["background.image"] for name in ("a.png", "b.png", "c.png")]
    assert made[0] == made[1] != made[2]


def test_panorama_paints_a_strip_that_can_close_on_itself(strip):
    assert smd("panorama", strip, *QUICK, "-o", "a.png").exit_code == 0
    assert smd("panorama", strip, *QUICK, "-o", "b.png", "--set", "canvas.wrap=x").exit_code == 0
    assert pixels("a.png").shape == pixels("b.png").shape == (128, 512, 3)
    assert abs(pixels("a.png") - pixels("b.png")).max() > 2


def test_each_command_takes_its_own_scenes(photo):
    for task, other in (("inpaint", "panorama"), ("panorama", "generate"), ("generate", "inpaint")):
        Path("named.yaml").write_text(f"task: {other}\n{PHOTO}")
        done = smd(task, "named.yaml", "-o", "a.png")
        assert (done.exit_code, done.stdout) == (3, "")
        assert f"named.yaml:1:7: task: this scene is for `smd {other}`" in done.stderr
        assert f"--set task={task}" in done.stderr
    assert not Path("a.png").exists()


def test_a_scene_without_a_task_has_the_commands(strip):
    plans = {
        task: json.loads(smd(task, strip, "--dry-run", "--json").stdout) for task in ("generate", "panorama")
    }
    assert [plans[task]["scene"]["task"] for task in plans] == ["generate", "panorama"]
    assert [len(plans[task]["steps"]) for task in plans] == [5, 4]


def test_the_commands_have_the_same_options():
    helps = [
        smd(task, "--help").stdout.partition("Arguments:")[2] for task in ("generate", "inpaint", "panorama")
    ]
    assert helps[0] == helps[1] == helps[2]
    assert "--dry-run" in helps[0]
