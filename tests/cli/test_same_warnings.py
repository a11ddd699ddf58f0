"""What is likely a mistake is told by every command that reads the scene, in the same lines."""

import json

import pytest
from PIL import Image

from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25], guidance: none, guidance_scale: 3, delta: 2}
negative_prefix: worst #quality
background: {prompt: a sunset, fit: contain}
regions:
  - {name: sun, prompt: the sun, mask: m.png}
  - {name: all, prompt: grass, mask: {box: [0, 0, 0.5, 1]}}
"""
STREAM = "stream: {frames: 4, timeline: [{at: 0, region: all, ease: linear, mask_std: 3}]}\n"
IN_STREAMS = {
    "a keyframe's mask": ("{frames: 9, timeline: [{at: 3, region: sun, mask: gone.png}]}", 4, "gone.png"),
    "the input": ("{input: gone.gif}", 4, "gone.gif"),
    "keyframes that fight by the input's times": (
        "{input: m.gif, timeline: [{at: 1, region: sun, prompt: x}, {at: 0.1s, region: sun, prompt: y}]}",
        3,
        "fights with timeline[0], which sets it at frame 1 too",
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = Image.new("L", (32, 32), 255)
    mask.save("m.png")
    mask.save("m.gif", save_all=True, append_images=[Image.new("L", (32, 32))])
    return tmp_path


def lines(*command: str) -> list[str]:
    done = smd(*command)
    assert done.exit_code == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("warning: ", "note: "))]


@pytest.mark.parametrize("task", ["generate", "panorama", "stream"])
def test_check_plan_and_the_task_s_command_tell_the_same(folder, task):
    (folder / "s.yaml").write_text(f"task: {task}\n{SCENE}{STREAM}")
    told = lines("check", "s.yaml")
    assert len(told) == 7
    assert told == lines("plan", "s.yaml")
    assert told == lines(task, "s.yaml", "--dry-run")
    assert told == lines(task, "s.yaml", "-o", "a.gif" if task == "stream" else "a.png")


@pytest.mark.parametrize("task", ["", "task: stream\n"])
@pytest.mark.parametrize(("stream", "code", "said"), IN_STREAMS.values(), ids=IN_STREAMS)
def test_check_sees_what_a_stream_would(folder, task, stream, code, said):
    (folder / "s.yaml").write_text(f"{task}{SCENE}stream: {stream}\n")
    done = smd("check", "s.yaml")
    assert (done.exit_code, done.stdout) == (code, "")
    problem = done.stderr.splitlines()[-1]
    assert said in problem
    assert smd("stream", "s.yaml").stderr.splitlines()[-1] == problem


def test_check_s_document_has_what_was_told_of_a_bad_scene_too(folder):
    stream, *_ = IN_STREAMS["a keyframe's mask"]
    (folder / "s.yaml").write_text(f"{SCENE}stream: {stream}\n")
    document = json.loads(smd("check", "s.yaml", "--json").stdout)
    (scene,) = document["scenes"]
    assert not scene["ok"]
    assert scene["warnings"] == document["warnings"] != []
    assert scene["notes"] == document["notes"] != []


def test_what_only_the_input_tells_is_told_by_all(folder):
    stream = "stream: {input: m.gif, frames: 3, timeline: [{at: 9, region: sun, prompt: x}]}"
    (folder / "s.yaml").write_text(f"task: stream\n{SCENE}{stream}\n")
    told = lines("check", "s.yaml")
    assert "ends after 2 of 3 frames" in told[-2]
    assert "frame 9 is past the last frame, 1" in told[-1]
    assert told == lines("plan", "s.yaml") == lines("stream", "s.yaml", "-o", "a.gif")


@pytest.mark.parametrize(
    "idle",
    ["mask_strength: 0.2", "mask_std: 30", "prompt_strength: 1, mask: {box: [0.05, 0, 0.07, 1]}"],
)
def test_a_region_that_no_step_paints_is_told_by_all(folder, idle):
    mask = "" if "mask: " in idle else ", mask: {ellipse: [0.5, 0.5, 0.05, 0.05]}"
    scene = SCENE.replace("[0, 25]", "[0, 4]").partition("regions:")[0]
    (folder / "s.yaml").write_text(f"{scene}regions:\n  - {{name: sun, prompt: the sun, {idle}{mask}}}\n")
    told = lines("check", "s.yaml")
    assert "region 'sun' is not painted" in told[-1]
    assert told == lines("plan", "s.yaml") == lines("generate", "s.yaml", "-o", "a.png")


def test_a_picture_s_scene_needs_no_stream(folder):
    (folder / "s.yaml").write_text(f"task: generate\n{SCENE}stream: {{input: gone.gif}}\n")
    assert smd("check", "s.yaml").exit_code == 0
