"""`smd bundle`, and bundles in place of scenes."""

import gc
import json
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.app.bundle.zips import packed
from tests.cli.program import FLATLAND, smd

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
    del told
    gc.collect()  # an error that is kept holds what it went through


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
        "model.loras[0].path: ./l.safetensors is a model, which is not in the bundle; "
        "--with-models puts it in"
    ]


def test_a_bundle_with_its_models_needs_nothing_else(folder):
    shutil.copytree(FLATLAND, folder / "own")
    shutil.copytree(FLATLAND / "vae", "vae")
    (folder / "own" / "unet" / "old.bin").write_bytes(b"pickle")
    shutil.copy(next((FLATLAND / "lcm_lora").glob("*.safetensors")), folder / "l.safetensors")
    model = f"model: {{base: {folder}/own, vae: ./vae, loras: [{{path: ../l.safetensors, weight: 0.1}}]}}\n"
    Path("day.yaml").write_text(SCENE + model)
    assert smd("generate", "day.yaml", "-o", "a.png").exit_code == 0
    done = smd("bundle", "day.yaml", "--with-models", "--json")
    told = json.loads(done.stdout)
    assert told["left_out"] == {}
    assert {"l.safetensors", "scene/own/unet/config.json"} < set(told["files"])
    assert "scene/own/unet/old.bin" not in told["files"]
    shutil.rmtree(folder / "own")
    shutil.rmtree("vae")
    Path("day.smd.zip").rename(folder / "elsewhere.smd.zip")
    (folder / "l.safetensors").unlink()
    done = smd("generate", "../elsewhere.smd.zip", "-o", "b.png")
    assert done.exit_code == 0, done.stderr
    assert Path("b.png").read_bytes() == Path("a.png").read_bytes()


def test_nothing_that_is_printed_tells_where_a_bundle_lies_unpacked(folder):
    shutil.copytree(FLATLAND, "own")
    colors = Image.new("RGB", (64, 64), "blue")
    colors.paste("red", (0, 0, 30, 30))
    colors.save("map.png")
    text = SCENE.replace("mask: sun.png", 'mask: {image: map.png, color: "#ff0000"}')
    Path("day.yaml").write_text(f"{text}model: ./own\n")
    assert smd("bundle", "day.yaml", "--with-models").exit_code == 0
    for command in ("check", "plan"):
        for options in ([], ["--json"]):
            done = smd(command, "day.smd.zip", *options)
            assert (done.exit_code, done.stdout.count("day.smd.zip/scene/own") > 0) == (0, True), done.stdout
            assert "temporary" not in done.stdout + done.stderr


def test_inspect_tells_what_is_in_a_bundle(folder):
    smd("bundle", "day.yaml")
    sizes = {
        "photo.png": Path("../photo.png").stat().st_size,
        "scene/day.yaml": len(SCENE),
        "scene/sun.png": Path("sun.png").stat().st_size,
    }
    width = max(len(str(size)) for size in sizes.values())
    assert smd("inspect", "day.smd.zip").stdout == "".join(
        f"{size:{width}}  {name}\n" for name, size in sizes.items()
    )
    told = json.loads(smd("inspect", "day.smd.zip", "--json").stdout)
    assert (told["bundle"], told["scenes"], told["files"]) == ("day.smd.zip", ["scene/day.yaml"], sizes)
    for name in ("day.smd.zip", "day.smd.zip/scene/day.yaml"):
        assert smd("inspect", name, "--scene").stdout == SCENE


LOCKED = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 1-2
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: ../m.png}
"""


def test_the_lock_of_a_scene_goes_with_it_and_holds_in_the_bundle(folder):
    shutil.copy("sun.png", "../m.png")
    shutil.copy("sun.png", "other.png")
    Path("day.yaml").write_text(LOCKED)
    Path("night.yaml").write_text(LOCKED)
    for arguments in (["day.yaml"], ["night.yaml"]):
        assert smd("lock", *arguments, "--inputs-only").exit_code == 0
    assert smd("bundle", "day.yaml").exit_code == 0
    told = json.loads(smd("bundle", "day.yaml", "--json").stdout)
    assert (told["locked"], "smd.lock" in told["files"]) == (2, False)
    Path("day.smd.zip").rename(folder / "day.smd.zip")
    Path("smd.lock").rename("kept.lock")
    with zipfile.ZipFile("../day.smd.zip") as opened:
        assert opened.namelist() == ["scene/day.yaml", "smd.lock", "m.png"]
        scenes = json.loads(opened.read("smd.lock"))["scenes"]
    before = json.loads(Path("kept.lock").read_text())["scenes"]
    assert scenes == [{**each, "scene": "scene/day.yaml"} for each in before if each["scene"] == "day.yaml"]
    done = smd("generate", "../day.smd.zip", "--locked", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    done = smd("generate", "../day.smd.zip", "--locked", "--set", "regions[sun].prompt=a moon")
    assert (done.exit_code, "'the sun' in ../day.smd.zip/smd.lock, now 'a moon'" in done.stderr) == (7, True)
    again = json.loads(smd("bundle", "../day.smd.zip", "-o", "again.smd.zip", "--json").stdout)
    assert (again["locked"], Path("again.smd.zip").read_bytes()) == (2, Path("../day.smd.zip").read_bytes())
    subprocess.run(["unzip", "-q", "again.smd.zip", "-d", "by_hand"], check=True)
    assert smd("render", "by_hand/scene/day.yaml", "--lock", "by_hand/smd.lock", "--dry-run").exit_code == 0


def test_what_options_made_is_in_the_lock_of_a_bundle_where_it_can_be_made(folder):
    shutil.copy("sun.png", "../m.png")
    shutil.copy("sun.png", "other.png")
    shutil.copy("sun.png", "matrix.png")
    matrix = f"matrix:\n  regions[sun].mask: [../m.png, {folder}/mine/matrix.png]\n"
    Path("day.yaml").write_text(LOCKED.replace("1-2", "3") + matrix)
    assert smd("lock", "day.yaml", "--inputs-only").exit_code == 0
    assert json.loads(smd("bundle", "day.yaml", "--json").stdout)["locked"] == 2
    Path("smd.lock").unlink()
    done = smd("render", "day.smd.zip", "--locked", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")

    Path("day.yaml").write_text(LOCKED.replace("1-2", "3"))
    change = ("--set", "regions[sun].mask=other.png")
    assert smd("lock", "day.yaml", "--inputs-only", *change).exit_code == 0
    says = "smd.lock: holds no picture of day.yaml that the bundle can make"
    done = smd("bundle", "day.yaml", "-o", "b.smd.zip", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["locked"], [note["text"] for note in told["notes"]]) == (0, 0, [says[10:]])
    done = smd("bundle", "day.yaml", "-o", "c.smd.zip", "--lock", "smd.lock")
    assert (done.exit_code, done.stderr) == (2, f"{says}\n")
    done = smd("bundle", "day.yaml", "-o", "d.smd.zip", *change, "--json")
    assert json.loads(done.stdout)["locked"] == 1
    Path("smd.lock").unlink()
    assert smd("generate", "d.smd.zip", "--locked", "--dry-run").exit_code == 0
    assert smd("generate", "b.smd.zip", "--locked", "--dry-run").exit_code == 4


def test_verify_renders_what_the_lock_of_a_bundle_holds(folder):
    shutil.copy("sun.png", "../m.png")
    Path("day.yaml").write_text(LOCKED.replace("1-2", "3"))
    assert smd("lock", "day.yaml").exit_code == 0
    assert smd("bundle", "day.yaml").exit_code == 0
    Path("smd.lock").unlink()
    for name in ("day.smd.zip", "day.smd.zip/smd.lock"):
        done = smd("verify", name, "--json")
        assert done.exit_code == 0, done.stderr
        (verdict,) = json.loads(done.stdout)["verdicts"]
        assert verdict["name"] == "day.smd.zip/scene/day.yaml, seed 3"
    assert smd("bundle", "day.yaml", "-o", "bare.smd.zip").exit_code == 0
    done = smd("verify", "bare.smd.zip")
    assert (done.exit_code, "bare.smd.zip/smd.lock: no such file" in done.stderr + done.stdout) == (4, True)


def test_the_lock_in_a_bundle_leads_no_scene_out_of_it(folder):
    secret = folder / "photo.png"
    Path("day.yaml").write_text(SCENE.replace("../photo.png", "sun.png"))
    assert smd("lock", "day.yaml", "--inputs-only", "--set", f"regions[sun].mask={secret}").exit_code == 0
    files = {name: Path(name).read_bytes() for name in ("day.yaml", "sun.png", "smd.lock")}
    Path("b.smd.zip").write_bytes(packed(files))
    done = smd("verify", "b.smd.zip")
    assert (done.exit_code, "leads out of the bundle" in done.stderr + done.stdout) == (3, True), done
    secret.unlink()  # whether that is there is not told either
    done = smd("verify", "b.smd.zip")
    assert (done.exit_code, "leads out of the bundle" in done.stderr + done.stdout) == (3, True), done
    outside = json.loads(Path("smd.lock").read_text())
    outside["scenes"][0] |= {"scene": "../mine/day.yaml", "overrides": {}}
    Path("b.smd.zip").write_bytes(packed({**files, "smd.lock": json.dumps(outside)}))
    done = smd("verify", "b.smd.zip")
    assert (done.exit_code, "b.smd.zip: has no scene ../mine/day.yaml" in done.stderr + done.stdout) == (
        3,
        True,
    )
    del done
    gc.collect()  # an error that is kept holds what it went through
