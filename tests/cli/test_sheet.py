"""`smd render --sheet`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.program import no_weights, smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0]}
background: {prompt: grass}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("day.yaml").write_text(SCENE)


def picture(path: str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_the_sheet_shows_the_pictures_whether_they_are_made_or_were_there(monkeypatch):
    command = ("render", "day.yaml", "--seed", "1,2", "--sheet", "all.png", "--json")
    done = smd(*command)
    assert (done.exit_code, json.loads(done.stdout)["sheet"]) == (0, ["all.png"]), done.stderr
    before = picture("all.png")
    with Image.open("all.png") as sheet, Image.open("day_2.png") as made:
        large = made.resize((192, 192), Image.Resampling.NEAREST)
        places = [(left, top) for left in range(10, 220) for top in range(10, 50)]
        assert any(sheet.crop((x, y, x + 192, y + 192)).tobytes() == large.tobytes() for x, y in places)
    no_weights(monkeypatch)
    Path("all.png").unlink()
    assert smd(*command, "--skip-existing").exit_code == 0
    assert picture("all.png") == before


def test_a_sheet_that_cannot_be_written_is_told_before_any_work(monkeypatch):
    no_weights(monkeypatch)
    Image.new("RGB", (8, 8)).save("other.png")
    Path("link").symlink_to(".")
    for name, says in (
        ("all.jpg", "contact sheets are written as PNG"),
        ("day_2.png", "lies where day, seed 2 is to lie"),
        ("link/day_2.png", "lies where day, seed 2 is to lie"),
        ("other.png", "exists, and carries no recipe"),
    ):
        done = smd("render", "day.yaml", "--seed", "1,2", "--sheet", name)
        assert (done.exit_code, says in done.stderr) == (2, True), done.stderr
    assert not Path("day_1.png").exists()
