"""Names that no file can have, or that are no text: one line, the design's exit code, nothing written."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.program import no_weights, smd

SCENE = "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: a field}\n"
LONG = "a" * 5000
INPUT = "a" * 3000  # a scene takes 4096 characters
TOO_LONG = "File name too long"
BYTES = "caf\udce9"  # what Python makes of a name in Latin-1


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    no_weights(monkeypatch)
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


NAMES = {
    "scene": (["check", LONG], 3, TOO_LONG),
    "picture as a scene": (["generate", f"{LONG}.png"], 3, TOO_LONG),
    "inspect": (["inspect", LONG], 4, TOO_LONG),
    "output": (["generate", "s.yaml", "-o", f"{LONG}.png"], 2, TOO_LONG),
    "in a new folder": (["generate", "s.yaml", "-o", f"new/{'a' * 252}.png"], 2, TOO_LONG),
    "in two new folders": (["generate", "s.yaml", "-o", f"{'é' * 128}/new/a.png"], 2, TOO_LONG),
    "folder": (["generate", "s.yaml", "--output-dir", LONG], 2, TOO_LONG),
    "template": (["generate", "s.yaml", "--name", "new/" + "{background.prompt}" * 40 + ".png"], 2, TOO_LONG),
    "whole path": (["generate", "s.yaml", "-o", "new/" * 1100 + "a.png"], 2, TOO_LONG),
    "film": (["stream", "s.yaml", "--frames", "2", "-o", f"new/{LONG}.gif"], 2, TOO_LONG),
    "frames": (["stream", "s.yaml", "--frames", "2", "-o", f"{LONG}/"], 2, TOO_LONG),
    "frames in a new folder": (["stream", "s.yaml", "--frames", "2", "-o", f"new/{LONG}/"], 2, TOO_LONG),
    "new": (["new", f"new/{LONG}"], 2, TOO_LONG),
    "preview": (["check", "s.yaml", "--preview", f"new/{LONG}.png"], 2, TOO_LONG),
    "schema": (["schema", "-o", f"new/{LONG}.json"], 2, TOO_LONG),
    "input": (["stream", "s.yaml", "--frames", "2", "--input", INPUT], 4, TOO_LONG),
    "pattern": (["stream", "s.yaml", "--frames", "2", "--input", f"{INPUT}/*.png"], 4, "no file matches"),
    "model": (["plan", "s.yaml", "--model", f"./{INPUT}"], 4, ""),
    "autoencoder": (["plan", "s.yaml", "--set", f"model.vae=./{INPUT}"], 4, ""),
    "mask": (
        ["check", "s.yaml", "--set", f"regions=[{{name: a, prompt: b, mask: {INPUT}.png}}]"],
        4,
        TOO_LONG,
    ),
    "bytes as input": (["stream", "s.yaml", "--input", f"{BYTES}.gif"], 3, "is not UTF-8 text"),
    "bytes as model": (["plan", "s.yaml", "--model", f"./{BYTES}"], 3, "is not UTF-8 text"),
    "bytes as value": (["plan", "s.yaml", "--set", f"background.prompt={BYTES}"], 2, "is not UTF-8 text"),
    "bytes as seed": (["generate", "s.yaml", "--seed", BYTES], 2, "is no seed"),
    "bytes as batch": (["generate", "s.yaml", "--batch", BYTES], 2, "give auto or a number"),
    "bytes as device": (["generate", "s.yaml", "--device", BYTES], 5, "unknown device"),
    "bytes without a file": (["check", BYTES], 3, "no such file"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), NAMES.values(), ids=NAMES)
def test_a_name_that_cannot_be_is_told_before_any_work(arguments, code, said, folder):
    ended = smd(*arguments)
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
    assert ended.exit_code == code
    assert len(lines) == 1
    assert said in lines[0]
    assert [path.name for path in folder.iterdir()] == ["s.yaml"]


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_a_scene_whose_name_is_not_utf_8_is_a_scene(folder):
    Path(f"{BYTES}.yaml").write_text(SCENE)
    good = smd("check", f"{BYTES}.yaml")
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout.startswith(r"caf\udce9.yaml: good")
    exact = json.loads(smd("check", f"{BYTES}.yaml", "--json").stdout)
    assert os.fsencode(exact["scenes"][0]["scene"]) == b"caf\xe9.yaml"
    assert smd("generate", f"{BYTES}.yaml", "--dry-run").exit_code == 0
    assert smd("new", f"new{BYTES}").stdout == "newcaf\\udce9.yaml\n"
    assert Path(f"new{BYTES}.yaml").exists()
