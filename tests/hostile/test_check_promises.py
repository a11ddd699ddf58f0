"""What `smd check` promises: a scene that passes renders, and its recipe is that scene; what fails cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from PIL import Image

from smd_cli.app.api import load_scene
from smd_cli.scene.yaml_types import dump
from tests.hostile.rules import TRIED, Ended, attacks, judge, run
from tests.hostile.scene_files import write_files
from tests.hostile.scene_language import scenes


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    return folder


def tasks_of(scene: dict[str, Any]) -> list[str]:
    """The commands that render a scene."""
    return [scene["task"]] if "task" in scene else ["generate", *(["stream"] if "stream" in scene else [])]


def render(task: str) -> tuple[Ended, Path]:
    """Render the scene by a command."""
    output = Path("out.apng" if task == "stream" else "out_{seed}.png")
    option = "-o" if task == "stream" else "--name"
    arguments = [task, "scene.yaml", option, str(output), "--overwrite", "--json"]
    return run(*arguments), output


def problems(ended: Ended) -> list[dict[str, Any]]:
    return json.loads(ended.stdout)["problems"]


@given(scenes())
@attacks(80)
def test_what_passes_renders_and_what_fails_fails(folder, scene):
    Path("scene.yaml").write_text(dump(scene))
    checked = run("check", "scene.yaml", "--json")
    judge("scenes: check", checked, {0, 3, 4})
    found = json.loads(checked.stdout)["scenes"][0]
    planned = run("plan", "scene.yaml", "--json")
    judge("scenes: plan", planned, {0, 3, 4})
    if "task" in scene or not checked.code:
        assert planned.code == checked.code, (scene, found["problems"], planned.stderr)
    runs = {task: render(task) for task in tasks_of(scene)}
    for task, (ended, _) in runs.items():
        judge(f"scenes: {task}", ended, {0, 3, 4})
    if checked.code:
        assert any(
            ended.code == checked.code and problems(ended) == found["problems"] for ended, _ in runs.values()
        ), (scene, found["problems"], [problems(ended) for ended, _ in runs.values()])
        return
    TRIED["scenes: good"] += 1
    for task, (ended, _) in runs.items():
        assert ended.code == 0, (scene, task, ended.stderr)
        check_outputs(task, json.loads(ended.stdout)["outputs"], found)


def check_outputs(task: str, outputs: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """Look at what was written: of the right size, from the scene that was given."""
    for output in outputs:
        with Image.open(output["path"]) as image:
            assert image.size == (found["size"]["width"], found["size"]["height"])
        overrides = {"seed": output["seed"]}
        given = load_scene("scene.yaml", task=task, overrides=overrides)
        (point,) = given.points
        assert load_scene(output["path"]).plan.to_dict() == given.at_point(point).plan.to_dict()
