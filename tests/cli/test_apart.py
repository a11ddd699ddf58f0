"""No command writes over a file that it reads, whatever leads to it, with --overwrite either."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.media.png import encode_png
from tests.cli.program import FLATLAND, no_weights, smd
from tests.hostile.rules import nothing_written

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
model: {base: ./model, loras: [{path: ./lora.png}]}
background: {image: back.png}
regions:
  - {name: sun, prompt: the sun, mask: mask.png}
stream:
  input: frames
  frames: 2
  timeline:
    - {at: 1, region: sun, mask: keyed.png}
"""
PICTURES = ("back.png", "mask.png", "keyed.png", "frames/000000.png", "frames/000001.png", "film.png")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    no_weights(monkeypatch)
    Path("frames").mkdir()
    mask = Image.new("RGB", (64, 64))
    mask.paste("white", (0, 0, 30, 30))
    for name in PICTURES:
        Path(name).write_bytes(encode_png(mask, {}))  # smd's own, which could be replaced otherwise
    frames = [mask, mask.rotate(90)]
    frames[0].save("film.gif", save_all=True, append_images=frames[1:])
    shutil.copytree(FLATLAND, "model")
    Path("lora.png").write_bytes(Path("mask.png").read_bytes())
    Path("scene.yaml").write_text(SCENE)
    Path("scene.png").write_text(SCENE)
    Path("links").mkdir()
    Path("links/soft.png").symlink_to("../mask.png")
    os.link("mask.png", "links/hard.png")
    Path("other").symlink_to("frames")
    return tmp_path


def refused(*arguments: str) -> str:
    """What is said where a command refuses; it writes nothing."""
    with nothing_written(Path()):
        done = smd(*arguments)
    assert done.exit_code == 2, (done.exit_code, done.output, done.exception)
    return done.stderr


INPAINT = ("--set", "stream.input=null", "--set", "stream.timeline=[]")


@pytest.mark.parametrize("policy", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("mask.png", "the mask of region 'sun'"),
        ("links/../mask.png", "the mask of region 'sun'"),
        ("links/soft.png", "the mask of region 'sun'"),
        ("links/hard.png", "the mask of region 'sun'"),
        ("back.png", "the background picture"),
        ("lora.png", "a LoRA"),
        ("model/model.png", "the model"),
    ],
)
def test_a_picture(target: str, what: str, policy: tuple[str, ...]) -> None:
    if target == "model/model.png":
        Path(target).write_bytes(Path("mask.png").read_bytes())
    said = refused("inpaint", "scene.yaml", *INPAINT, "-o", target, *policy)
    assert said == f"--output {target}: is {what}, which is read; give another name\n"


def test_the_scene_itself() -> None:
    said = refused("inpaint", "scene.png", *INPAINT, "-o", "scene.png", "--overwrite")
    assert "is the scene, which is read" in said


STREAM = ("--set", "background.image=null", "--set", "stream.timeline[0].mask=keyed.png")


@pytest.mark.parametrize("policy", [(), ("--overwrite",), ("--skip-existing",)])
@pytest.mark.parametrize(
    ("given", "target", "says"),
    [
        ("frames", "frames/", "frames/000000.png is the stream's input"),
        ("frames/*.png", "frames/", "frames/000000.png is the stream's input"),
        ("f*/*.png", "frames", "frames/000000.png is the stream's input"),
        ("**/0*.png", "frames/", "frames/000000.png is the stream's input"),
        ("frames/*1.png", "frames/", "frames/000001.png is the stream's input"),
        ("frames", "other/", "other/000000.png is the stream's input"),
        ("other/*.png", "./frames/../frames/", "is the stream's input"),
        ("film.gif", "film.gif", "is the stream's input"),
        ("film.gif", "keyed.png", "is the mask of a keyframe"),
        ("frames", "frames/000001.png", "is the stream's input"),
    ],
)
def test_a_stream(given: str, target: str, says: str, policy: tuple[str, ...]) -> None:
    said = refused("stream", "scene.yaml", *STREAM, "--input", given, "-o", target, *policy)
    assert f"{says}, which is read; give another name\n" in said
    assert said.startswith("--output ")


def test_a_folder_is_not_joined_by_other_frames() -> None:
    for number in (0, 1):
        Path(f"frames/00000{number}.png").rename(f"frames/{number}.png")
    for given in ("frames", "frames/*.png"):
        said = refused("stream", "scene.yaml", *STREAM, "--input", given, "-o", "frames/")
        assert said == "--output frames/: the input comes from there; give another name\n"


@pytest.mark.parametrize(
    ("command", "target", "what"),
    [
        (("check", *STREAM[:2], "--set", "model.loras=[]"), "frames/000001.png", "the stream's input"),
        (("check", *STREAM[:2], "--set", "model.loras=[]"), "mask.png", "the mask of region 'sun'"),
        (("plan", *INPAINT), "lora.png", "a LoRA"),
    ],
)
def test_a_preview(command: tuple[str, ...], target: str, what: str) -> None:
    said = refused(command[0], "scene.yaml", *command[1:], "--preview", target)
    assert f"--preview {target}: is {what}, which is read; give another name\n" in said


def test_names_that_only_look_alike_are_free() -> None:
    Path("new").mkdir()
    done = smd("inpaint", "scene.yaml", *INPAINT, "-o", "new/mask.png", "--dry-run")
    assert done.exit_code != 2, done.stderr


PLAIN = """\
smd: 1
canvas: {width: 64, height: 64}
regions: [{name: sun, prompt: the sun, mask: MASK}]
"""


@pytest.mark.parametrize(
    ("scene", "template", "what"),
    [
        ("mask.yaml", "{scene}", "the mask of region 'sun' of other.yaml"),
        ("soft.yaml", "links/{scene}", "the mask of region 'sun' of other.yaml"),
        ("hard.yaml", "links/{scene}", "the mask of region 'sun' of other.yaml"),
    ],
)
def test_what_another_scene_of_a_batch_reads(scene: str, template: str, what: str) -> None:
    """Otherwise it would hang on the order of the jobs which file a picture is made of."""
    Path(scene).write_text(PLAIN.replace("MASK", "{box: [0, 0, 1, 1]}"))
    Path("other.yaml").write_text(PLAIN.replace("MASK", "mask.png"))
    target = template.format(scene=Path(scene).stem) + ".png"
    for scenes in ((scene, "other.yaml"), ("other.yaml", scene)):
        said = refused("render", *scenes, "--name", template, "--overwrite")
        assert said == f"--name {target}: is {what}, which is read; give another name\n"
