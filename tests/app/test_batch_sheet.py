"""The contact sheet of a batch: what is where, and what is written beside it."""

from dataclasses import replace
from pathlib import Path

import pytest

from smd_cli.app.batch.jobs import Outcome
from smd_cli.app.batch.planning import plan_batch
from smd_cli.app.batch.request import Request
from smd_cli.app.batch.sheet import arranged, short_names
from smd_cli.scene.matrix import parse_axis, points_of

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
background: {prompt: grass}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("day", "night"):
        Path(f"{name}.yaml").write_text(SCENE)


def jobs(*axes: str, scenes=("day.yaml",), seeds=(1,), zipped=False):
    points = points_of([parse_axis(axis) for axis in axes], zipped=zipped) if axes else ()
    return plan_batch(Request(scenes, seeds=seeds, points=points)).jobs


def test_two_keys_are_rows_and_columns():
    made = jobs("bootstrap.steps=0,1,2", "sampler.guidance_scale=1,1.5")
    sheet = arranged(made, {})
    assert (sheet.columns, sheet.title) == (2, "day, seed 1")
    assert sheet.column_heads == ["guidance_scale=1", "guidance_scale=1.5"]
    assert sheet.row_heads == [("steps=0",), ("steps=1",), ("steps=2",)]
    assert {cell.lines for cell in sheet.cells} == {()}


def test_one_key_is_columns_and_seeds_are_rows_whatever_the_order_of_jobs():
    made = jobs("bootstrap.steps=0,1", scenes=("day.yaml", "night.yaml"), seeds=(3, 4))
    outcomes = {made[0].number: Outcome(made[0].number, "failed", exit_code=1)}
    sheet = arranged(made, outcomes)
    assert sheet.row_heads == [("day", "seed 3"), ("day", "seed 4"), ("night", "seed 3"), ("night", "seed 4")]
    assert sheet.column_heads == ["steps=0", "steps=1"]
    assert [cell.word for cell in sheet.cells] == ["failed"] + 7 * ["not made"]
    marked = {job.number: Outcome(job.number, "failed") for job in made if job.point == "bootstrap.steps=1"}
    assert [cell.word for cell in arranged(made, marked).cells] == 4 * ["not made", "failed"]


def test_what_makes_no_full_table_is_a_grid_in_order():
    zipped = arranged(jobs("bootstrap.steps=0,1", "sampler.guidance_scale=1,1.5", zipped=True), {})
    assert (zipped.columns, zipped.row_heads) == (0, ())
    assert zipped.cells[1].lines == ("steps=1", "guidance_scale=1.5")
    plain = arranged(jobs(seeds=(1, 2), scenes=("day.yaml", "night.yaml")), {})
    assert [cell.lines for cell in plain.cells][:3] == [
        ("day", "seed 1"),
        ("day", "seed 2"),
        ("night", "seed 1"),
    ]
    three = arranged(jobs("bootstrap.steps=0,1", "sampler.guidance_scale=1,2", "masks.std=0,1"), {})
    assert (three.columns, len(three.cells), len(three.cells[0].lines)) == (0, 8, 3)
    same = jobs("bootstrap.steps=0,1", scenes=("day.yaml",))
    twice = arranged([*same, *(replace(job, number=job.number + 9) for job in same)], {})
    assert (twice.columns, len(twice.cells)) == (0, 4)  # of two jobs that look alike none is lost


def test_a_single_picture_has_a_title_and_no_label():
    sheet = arranged(jobs(), {})
    assert (sheet.title, sheet.cells[0].lines, sheet.pages) == ("day, seed 1", (), 1)


def test_keys_are_as_short_as_they_can_be_told_apart():
    keys = ["regions[boy].prompt", "regions[girl].prompt", "bootstrap.steps", "sampler.steps", "tile"]
    assert list(short_names(keys).values()) == [
        *("regions[boy].prompt", "regions[girl].prompt", "bootstrap.steps", "sampler.steps", "tile"),
    ]
    assert short_names(["bootstrap.steps", "masks.std"]) == {"bootstrap.steps": "steps", "masks.std": "std"}
    whole = {"background.prompt": "background.prompt"}
    assert short_names([*whole, "stream.timeline[0].background.prompt"]).items() >= whole.items()
