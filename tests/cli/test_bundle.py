"""`smd bundle`, and bundles in place of scenes."""

import json
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from tests.app.bundle.zips import packed
from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
background: {prompt: grass, image: ../photo.png}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    Image.new("RGB", (64, 64), "teal").save("../photo.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 24, 24))
    mask.save("sun.png")
    Path("day.yaml").write_text(SCENE)
    yield tmp_path
    assert [*(tmp_path / "temporary").glob("smd*")] == []


def test_a_bundle_makes_the_same_file_as_its_scene_does(folder):
    assert smd("generate", "day.yaml").stdout == "day_5.png\n"
    made = Path("day_5.png").read_bytes()
    done = smd("bundle", "day.yaml")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "day.smd.zip\n", "")
    Path("day.smd.zip").rename(folder / "day.smd.zip")
    for name in ("sun.png", "../photo.png", "day.yaml"):
        Path(name).unlink()
    again = smd("generate", "../day.smd.zip", "--skip-existing")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "note: day_5.png: exists, skipped\n")
    assert smd("generate", "../day.smd.zip/scene/day.yaml", "-o", "b.png").exit_code == 0
    assert Path("b.png").read_bytes() == made


def test_messages_name_places_in_the_bundle(folder):
    assert smd("bundle", "day.yaml", "-o", "b.zip").exit_code == 0
    told = smd("check", "b.zip", "--set", "regions[sun].mask=gone.png", "--json")
    (problem,) = json.loads(told.stdout)["problems"]
    assert told.exit_code == 4
    assert problem["text"] == "region 'sun': b.zip/scene/gone.png: no such file"
    told = smd("generate", "b.zip", "--set", "regions=[]", "--set", "canvas.width=65")
    assert told.exit_code == 3
    assert "temporary" not in told.stderr
    Path("typo.zip").write_bytes(packed({"day.yaml": SCENE.replace("seed", "sead")}))
    told = smd("check", "typo.zip", "--json")
    (problem,) = json.loads(told.stdout)["problems"]
    assert (told.exit_code, problem["file"], problem["line"]) == (3, "typo.zip/day.yaml", 3)


def test_the_document_tells_what_is_in_it(folder):
    done = smd("bundle", "day.yaml", "--set", "model.loras=[{path: ./l.safetensors}]", "--json")
    told = json.loads(done.stdout)
    assert {key: told[key] for key in ("path", "scene", "files", "left_out")} == {
        "path": "day.smd.zip",
        "scene": "scene/day.yaml",
        "files": ["photo.png", "scene/sun.png"],
        "left_out": {"model.loras[0].path": "./l.safetensors"},
    }
    assert [note["text"] for note in told["notes"]] == [
        "model.loras[0].path: ./l.safetensors is not in the bundle, as models are not; "
        "--set model.loras[0].path=… or --model gives it"
    ]
