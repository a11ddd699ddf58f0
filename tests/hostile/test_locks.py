"""Locks that somebody else has written, and runs that are killed while they write one."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.app.lock.lockfile import read_lock
from smd_cli.media.recipe import Recipe
from tests.hostile.rules import TIMES, TRIED, attacks, judge, run
from tests.hostile.test_recipes import damaged

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The data of a lock of a scene in the working directory, which is another folder for each test."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "day.yaml").write_text(SCENE)
    path = str(folder / "smd.lock")
    assert run("lock", str(folder / "day.yaml"), "--inputs-only", "--seed", "0-2", "-o", path).code == 0
    return json.loads(Path(path).read_text())


@given(st.data())
@attacks(100)
def test_locks_of_any_content_are_data(sound, data):
    Path("day.yaml").write_text(SCENE)
    changed = data.draw(damaged(sound))
    with suppress(Exception):  # most are not sound enough to have a digest, by which others pass for sound
        for group in changed["scenes"]:
            scene = {**group["recipe"]["scene"], "seed": group["pictures"][0]["seed"]}
            group["sha256"] = Recipe.from_data({**group["recipe"], "scene": scene}).sha256
    text = json.dumps(changed)
    cut = data.draw(st.integers(0, len(text)))
    Path("smd.lock").write_text(data.draw(st.sampled_from([text, text, text, text[:cut]])))
    judge("lock: --locked", run("generate", "day.yaml", "--seed", "0-2", "--locked", "--dry-run"), {0, 4, 7})


def test_a_lock_whose_run_is_killed_is_the_old_or_the_new_one(sound):
    Path("day.yaml").write_text(SCENE)
    path, random = Path("smd.lock"), Random(5)
    path.write_text(json.dumps(sound))
    old, new = read_lock(path), None
    command = [sys.executable, "-m", "smd_cli", "lock", "day.yaml", "--inputs-only", "--seed", "3-9"]
    began = time.monotonic()
    assert subprocess.run([*command, "-o", "new.lock"], cwd=".", env=_env()).returncode == 0
    lasts, new = time.monotonic() - began, read_lock(Path("new.lock")).pictures
    for _ in range(5 * TIMES):
        process = subprocess.Popen(command, env=_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.5, 1.1) * lasts)
        process.kill()
        process.wait()
        assert read_lock(path).pictures in (old.pictures, new)
        TRIED["lock: kill"] += 1
    assert run("lock", "day.yaml", "--inputs-only", "--seed", "3-9").code == 0
    assert sorted(each.name for each in Path().iterdir()) == ["day.yaml", "new.lock", "smd.lock"]


def _env() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2])}
