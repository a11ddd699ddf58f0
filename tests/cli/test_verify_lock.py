"""smd verify of a lock: its scenes are opened again as they were, compared, rendered, and compared."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from smd_cli.app.lock.lockfile import Lock, read_lock
from tests.cli.program import no_weights, smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
"""
FILM = """\
smd: 1
task: stream
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
stream: {frames: 2}
"""
NAMES = [
    "scenes/day.yaml, seed 1, bootstrap.steps=0",
    "scenes/day.yaml, seed 2, bootstrap.steps=0",
    "scenes/film.yaml, seed 0",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a lock of two pictures of a scene and a film, and a picture of another lock."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "scenes").mkdir()
    mask = Image.new("L", (64, 64))
    mask.paste(255, (8, 8, 40, 40))
    mask.save(folder / "scenes/sun.png")
    (folder / "scenes/day.yaml").write_text(SCENE)
    (folder / "scenes/film.yaml").write_text(FILM)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        day = ("lock", "scenes/day.yaml", "--set", "bootstrap.steps=0", "--batch", "3")
        assert smd(*day, "--seed", "1,2").exit_code == 0
        assert smd("lock", "scenes/film.yaml").exit_code == 0
        assert smd(*day, "--seed", "1", "-o", "kept.lock", "--output-dir", "out").exit_code == 0
        assert smd("lock", "scenes/day.yaml", "--inputs-only", "-o", "inputs.lock").exit_code == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def verdicts(*arguments: str, code: int) -> dict[str, tuple[str, list[str]]]:
    """What became of each picture, and why."""
    done = smd("verify", *arguments, "--json")
    assert done.exit_code == code, done.stderr
    told = json.loads(done.stdout)["verdicts"]
    return {each["name"]: (each["status"], [reason["text"] for reason in each["reasons"]]) for each in told}


def change(path: str, index: int, **values: object) -> None:
    """Change a picture of a lock, as somebody would that sees to its digest."""
    lock = read_lock(path)
    pictures = list(lock.pictures)
    pictures[index] = replace(pictures[index], recipe=replace(pictures[index].recipe, **values))
    Lock(lock.path, tuple(pictures)).write()


@pytest.mark.parametrize("lock", ["smd.lock", "moved/ci/smd.lock"])
def test_what_is_held_comes_out_again(folder, lock):
    if lock != "smd.lock":  # with the scenes: paths start at the lock's folder
        Path("moved").mkdir()
        shutil.copytree("scenes", "moved/ci/scenes")
        shutil.move("smd.lock", lock)
    done = smd("verify", lock, "--junit", "report.xml")
    assert done.exit_code == 0, done.stderr
    prefix = lock.removesuffix("smd.lock")
    assert done.stdout.splitlines() == [f"{prefix}{name}: same" for name in NAMES]
    cases = ElementTree.parse("report.xml").getroot().iter("testcase")
    assert [(case.get("classname"), len(case)) for case in cases] == [(lock, 0)] * 3


def test_a_picture_is_computed_as_it_was_locked(folder):
    assert {each.recipe.computation["batch"] for each in read_lock("kept.lock").pictures} == {3}
    change("kept.lock", 0, computation={"batch": 2.5})
    ((status, reasons),) = verdicts("kept.lock", code=4).values()
    assert (status, reasons) == ("failed", ["what is recorded of its computation is damaged: batch 2.5"])


def test_drift_is_told_before_any_weight_is_read(folder, monkeypatch):
    no_weights(monkeypatch)
    with Image.open("scenes/sun.png") as mask:
        mask.load()
    mask.putpixel((63, 63), 255)
    mask.save("scenes/sun.png")
    Path("scenes/film.yaml").write_text(FILM.replace("grass", "a lake"))
    found = verdicts("smd.lock", code=7)
    assert found == {
        NAMES[0]: ("differs", ["is another file than that of smd.lock"]),
        NAMES[1]: ("differs", ["is another file than that of smd.lock"]),
        NAMES[2]: ("differs", ["'grass' in smd.lock, now 'a lake'"]),
    }


def test_a_scene_that_is_gone_invalid_or_of_another_task(folder, monkeypatch):
    no_weights(monkeypatch)
    Path("scenes/film.yaml").write_text(FILM.replace("task: stream", "task: generate"))
    change("smd.lock", 1, pixels="ab" * 32)
    Path("scenes/day.yaml").unlink()
    gone = "no such file; smd.lock names it from its folder, and smd lock of other scenes drops it"
    found = verdicts("smd.lock", code=7)
    assert found[NAMES[0]] == found[NAMES[1]] == ("differs", [gone])
    assert "'stream' in smd.lock, now 'generate'" in found[NAMES[2]][1]
    Path("scenes/film.yaml").write_text("smd: 1\ntask: stream\nstraem: 1\n")
    assert verdicts("smd.lock", code=7)[NAMES[2]][0] == "failed"


def test_other_pixels_differ_and_latents_tell_by_how_much(folder):
    recipe = read_lock("smd.lock").pictures[0].recipe
    change("smd.lock", 0, pixels="ab" * 32)
    (status, (reason,)) = verdicts("smd.lock", code=7)[NAMES[0]]
    assert (status, reason.startswith("its pixels are not those that are recorded")) == ("differs", True)
    change("smd.lock", 1, latents=recipe.latents)  # of the other seed
    found = verdicts("smd.lock", "--metric", "latent", code=7)
    assert [status for status, _ in found.values()] == ["same", "differs", "failed"]
    assert found[NAMES[2]][1] == ["no latents of films are recorded; give --metric ssim"]


def test_pictures_that_were_kept_are_compared_by_structure_and_levels(folder):
    for option in (("--metric", "ssim"), ("--tolerance", "2")):
        ((status, _),) = verdicts("kept.lock", *option, code=0).values()
        assert status == "same"
    change("kept.lock", 0, pixels=None)
    assert verdicts("kept.lock", code=0)
    with Image.open("out/day_1.png") as image:
        image.load()
    image.putpixel((3, 3), (0, 0, 255))
    image.save("out/day_1.png")
    ((status, _),) = verdicts("kept.lock", code=7).values()
    assert status == "differs"
    Path("out/day_1.png").unlink()
    ((_, reasons),) = verdicts("kept.lock", "--metric", "ssim", code=2).values()
    assert reasons == ["no picture of it is kept for --metric ssim; give --metric latent"]


def test_of_films_that_were_not_kept_the_way_out_is_told(folder):
    found = verdicts("smd.lock", "--tolerance", "2", code=2)
    assert found[NAMES[2]][1] == ["no picture of it is kept for --tolerance; smd lock --output-dir keeps one"]


def test_inputs_alone_are_compared_without_a_model(folder, monkeypatch):
    no_weights(monkeypatch)
    done = smd("verify", "inputs.lock")
    assert (done.exit_code, done.stdout) == (0, "scenes/day.yaml, seed 0: same\n"), done.stderr
    assert "inputs.lock: pictures of which only inputs are recorded are not rendered" in done.stderr
    assert [status for status, _ in verdicts("inputs.lock", "--metric", "latent", code=0).values()] == [
        "same"
    ]
    Path("scenes/day.yaml").write_text(SCENE.replace("grass", "a lake"))
    assert [status for status, _ in verdicts("inputs.lock", code=7).values()] == ["differs"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.lock", None, "a.lock: no such file; smd lock SCENE… makes one"),
        ("a.lock", "", "a.lock: is no lock: Expecting value"),
        (
            "a.lock",
            '{\n<<<<<<< HEAD\n"a": 1\n=======\n>>>>>>> x\n}',
            "is no lock: a merge conflict in it is not",
        ),
        ("lock.json", '{"smd_lock": 2}', "lock.json: is a lock of version 2; "),
        ("lock.json", '{"a": 1}', "lock.json: is no lock: it has no key smd_lock"),
    ],
)
def test_what_is_no_lock(folder, name, text, says):
    if text is not None:
        Path(name).write_text(text)
    done = smd("verify", name)
    assert (done.exit_code, says in done.stderr) == (4, True), done.stderr
