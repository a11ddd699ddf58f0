"""The commands of docs/batch.md, one after the other in one shell, on small canvases."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/batch.md"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder as of a clone, whose scenes that the guide renders are small; `smd` is on the path."""
    shutil.copytree(ROOT / "scenes", tmp_path / "scenes")
    for name in ("shapes", "corner", "single"):
        path = tmp_path / f"scenes/{name}.yaml"
        small = {
            "canvas": {"width": 64, "height": 64},
            "sampler": {"indices": [0, 25]},
            "bootstrap": {"steps": 1},
        }
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **small}, sort_keys=False))
    program = tmp_path / "bin/smd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m smd_cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_guide_runs(clone):
    script = "\n".join(BLOCK.findall(GUIDE.read_text(encoding="utf-8")))
    command = ["bash", "-xeuo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-4000:]
    tour = clone / "tour"
    made = {str(path.relative_to(tour)) for path in tour.rglob("*.png") if "scenes" not in path.parts}
    assert {f"out/{name}_{seed}.png" for name in ("shapes", "corner") for seed in (1, 2, 3)} <= made
    assert {f"night/shapes_{seed}.png" for seed in range(1, 9)} <= made
    assert {"steps.png", "difference.png", "named/corner/a blue house/002.png"} <= made
    assert not list(tour.rglob(".smd-*"))
    codes = re.findall(r"^exit code (\d+)$", done.stdout, re.MULTILINE)
    refused, differs = "2", "7"
    assert [code for code in codes if code != "137"] == [refused, differs, differs]  # killed in time, or not
    with Image.open(tour / "steps.png") as sheet:
        assert sheet.width > 2 * 64
    end = json.loads((tour / "night.jsonl").read_text().splitlines()[-1])
    assert (end["written"] + end["skipped"], end["failed"]) == (8, 0)


def test_the_outputs_that_the_guide_shows_are_those_of_its_commands(clone):
    """Beneath a block of commands, a block without a language is what its last command prints."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    pairs = [
        (one, other)
        for (kind, one), (next_kind, other) in pairwise(blocks)
        if (kind, next_kind) == ("sh", "")
    ]
    assert pairs
    for commands, shown in pairs:
        done = subprocess.run(
            ["bash", "-euc", commands], cwd=clone, capture_output=True, text=True, check=True
        )
        assert done.stdout == shown
