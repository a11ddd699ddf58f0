"""`smd bench speed` as a user meets it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smd_cli.bench import scenes
from smd_cli.cli.app import app

SMALL = """\
smd: 1
canvas: {width: 96, height: 64}
sampler: {indices: [0, 25], tile: 64}
bootstrap: {steps: 1}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: {ellipse: [0.17, 0.5, 0.15, 0.4]}}]
"""
STRIP = """\
smd: 1
canvas: {width: 96, height: 64}
sampler: {kind: ddim, steps: 2, tile: 64}
bootstrap: {steps: 0}
background: {prompt: grass}
"""


def smd(*arguments: str):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    strip, small = tmp_path / "strip.yaml", tmp_path / "small.yaml"
    strip.write_text(STRIP)
    small.write_text(SMALL)
    monkeypatch.setattr(scenes, "PANORAMA", strip)
    return str(small)


def test_it_measures_each_scene_and_the_panorama(scene):
    done = smd("bench", "speed", scene, "--repeats", "1", "--batch", "2")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    columns = ["scene", "program", "median s", "min", "max", "times", "evals", "difference"]
    assert re.split(r" {2,}", lines[0]) == columns
    rows = [re.split(r" {2,}", line.strip()) for line in lines[1:]]
    assert [[*row[:2], *row[6:]] for row in rows if row[-1] not in ("0", "1")] == [
        ["small", "coupled", "5", "another picture"],
        ["strip", "diffusers", "4", "another picture"],
    ]
    assert [[*row[:2], row[6]] for row in rows if row[-1] in ("0", "1")] == [
        ["small", "this program", "6"],
        ["small", "plain loop", "16"],
        ["strip", "this program", "4"],
    ]


def test_what_a_scene_says_of_late_steps_and_own_tiles_is_not_what_this_program_is_measured_by(scene):
    rows = []
    for late, own in (("views", "false"), ("coupled", "true")):
        path = Path(scene).with_name(f"{late}.yaml")
        text = SMALL.replace("tile: 64", f"tile: 64, late: {late}")
        path.write_text(text.replace("{steps: 1}", f"{{steps: 1, own_tiles: {own}}}"))
        done = smd("bench", "speed", str(path), "--repeats", "1", "--json")
        keys = ("name", "evaluations", "difference")
        found = json.loads(done.stdout)["rows"]
        rows.append([[row[key] for key in keys] for row in found])
    assert rows[0] == rows[1]
    _, plain, coupled = rows[0][:3]
    assert plain[2] <= 1 < coupled[2]


def test_json_is_one_document_with_the_machine_and_the_table_beside_it(scene):
    done = smd("bench", "speed", scene, "--repeats", "2", "--batch", "2", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"device", "dtype", "threads", "torch", "diffusers"} <= document["machine"].keys()
    names = ["this program", "plain loop", "coupled", "this program", "diffusers"]
    assert [row["name"] for row in document["rows"]] == names
    assert all(len(row["seconds"]) == 2 for row in document["rows"])
    assert document["rows"][1]["difference"] <= 1
    assert all(name in done.stderr for name in names)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.yaml"], 3, "nowhere.yaml: no such file"),
        (["--repeats", "0"], 2, "--repeats"),
        (["--batch", "0"], 2, "--batch 0"),
        (["--device", "abacus"], 5, "abacus"),
        (["--model", "nobody/nothing", "--offline"], 4, "nobody/nothing"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(scene, arguments, code, says, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what --offline sets is taken back
    done = smd("bench", "speed", *arguments)
    assert done.exit_code == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


def test_help_needs_no_torch():
    code = "import sys, smd_cli.cli.bench, smd_cli.bench.scenes; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
