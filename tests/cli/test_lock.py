"""smd lock, and --locked: what scenes make is held, and what has changed since is told before any work."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from smd_cli.app.lock.lockfile import Lock, read_lock
from smd_cli.app.lock.pictures import LockedPicture
from smd_cli.app.recipes import RENDERING_VERSION
from smd_cli.messages import Place
from tests.cli.program import FLATLAND, no_weights, smd
from tests.limits import largest_file

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
bootstrap: {steps: 1}
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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with scenes and a lock of them: of one, two seeds at two points of a matrix."""
    folder = tmp_path_factory.mktemp("made")
    draw_mask(folder / "sun.png", 24)
    (folder / "day.yaml").write_text(SCENE)
    (folder / "film.yaml").write_text(FILM)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = smd("lock", "day.yaml", "film.yaml", "--seed", "5,6", "--matrix", "bootstrap.steps=0,1")
        assert (done.exit_code, done.stdout) == (0, "smd.lock\n"), done.stderr
        done = smd("lock", "film.yaml")
        assert done.exit_code == 0, done.stderr
    assert [path.name for path in sorted(folder.iterdir())] == [
        "day.yaml",
        "film.yaml",
        "smd.lock",
        "sun.png",
    ]
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def draw_mask(path: Path, side: int) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, side, side))
    mask.save(path)


def pictures(path: str = "smd.lock") -> tuple[LockedPicture, ...]:
    return read_lock(path).pictures


def change_lock(first: int = 0, end: int | None = None, **change: Any) -> None:
    """Change recipes of a lock, as somebody would that sees to its digests."""
    lock = read_lock("smd.lock")
    changed = [replace(each, recipe=replace(each.recipe, **change)) for each in lock.pictures[first:end]]
    Lock(lock.path, tuple(changed)).write()


def problems_of(*arguments: str, code: int = 7) -> list[str]:
    done = smd(*arguments, "--json")
    assert done.exit_code == code, done.stderr
    assert json.loads(done.stdout)["outputs"] == []
    return [problem_line(each) for each in json.loads(done.stdout)["problems"]]


def problem_line(problem: dict) -> str:
    """A problem as people read it."""
    place = Place(
        problem["file"] or problem["option"] or "",
        problem["line"] or 0,
        problem["column"] or 0,
        problem["key"] or "",
        is_option=problem["option"] is not None,
    )
    return str(place.says(problem["text"]))


def test_a_lock_holds_every_picture_and_what_it_is_made_of(folder):
    held = pictures()
    assert [(each.scene, each.overrides, each.seed) for each in held] == [
        ("day.yaml", {"bootstrap.steps": 0}, 5),
        ("day.yaml", {"bootstrap.steps": 0}, 6),
        ("day.yaml", {"bootstrap.steps": 1}, 5),
        ("day.yaml", {"bootstrap.steps": 1}, 6),
        ("film.yaml", {}, 0),  # locked again: what was held of it before is replaced
    ]
    for command, each in (("generate", held[3]), ("stream", held[4])):
        done = smd(command, each.scene, "--seed", str(each.seed), "--json")
        (output,) = json.loads(done.stdout)["outputs"]
        assert output["pixels_sha256"] == each.recipe.pixels
        assert (each.latents_sha256 is None) == (command == "stream")
    assert len({each.recipe.pixels for each in held}) == len(held)


def test_pictures_that_are_held_are_rendered(folder):
    done = smd("render", "day.yaml", "--seed", "5-6", "--matrix", "bootstrap.steps=0,1", "--locked")
    assert (done.exit_code, len(done.stdout.split()), done.stderr.count("warning")) == (0, 4, 0), done.stderr
    for command in (("generate", "day.yaml"), ("generate", "day.yaml", "--set", "bootstrap.steps=0")):
        done = smd(*command, "--locked", "-o", f"{len(command)}.png")
        assert (done.exit_code, done.stderr.count("warning")) == (0, 0), done.stderr
    done = smd("stream", "film.yaml", "--locked")
    assert (done.exit_code, done.stderr.count("warning")) == (0, 0), done.stderr


def test_a_change_is_told_at_its_place_before_any_work(folder, monkeypatch):
    no_weights(monkeypatch)
    Path("day.yaml").write_text(SCENE.replace("the sun", "the moon").replace("[0, 25]", "[0, 12]"))
    assert problems_of("generate", "day.yaml", "--locked") == [
        "day.yaml:4:20: sampler.indices: [0, 25] in smd.lock, now [0, 12]",
        "day.yaml:8:25: regions[0].prompt: 'the sun' in smd.lock, now 'the moon'",
    ]
    Path("film.yaml").write_text(FILM.replace("frames: 2", "frames: 3"))
    assert problems_of("stream", "film.yaml", "--locked") == [
        "film.yaml:6:18: stream.frames: 2 in smd.lock, now 3"
    ]


def test_a_pixel_of_a_mask_is_told_once_for_all_its_pictures(folder, monkeypatch):
    no_weights(monkeypatch)
    with Image.open("sun.png") as mask:
        mask.load()
    mask.putpixel((40, 40), 255)
    mask.save("sun.png")
    assert problems_of("render", "day.yaml", "--seed", "5,6", "--locked") == [
        "day.yaml:8:40: regions[0].mask: is another file than that of smd.lock"
    ]


def test_the_weights_of_a_model_are_held(folder, monkeypatch):
    shutil.copytree(FLATLAND, "model")
    Path("own.yaml").write_text(SCENE + "model: ./model\n")
    assert smd("lock", "own.yaml", "--inputs-only").exit_code == 0
    weights = next(Path("model/unet").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    no_weights(monkeypatch)
    assert problems_of("generate", "own.yaml", "--locked") == [
        "own.yaml:9:8: model: is another file than that of smd.lock"
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--seed", "5,7,9"], "--seed 5,7,9: smd.lock holds no picture of seed 7, 9"),
        (["--set", "bootstrap.steps=2"], "--set bootstrap.steps=2: 0 in smd.lock, now 2"),
        (["-W", "128"], "--width 128: canvas.width: 64 in smd.lock, now 128"),
        (["--lock", "other.lock"], "other.lock: no such file; smd lock SCENE… makes one"),
    ],
)
def test_what_the_lock_does_not_hold_is_not_rendered(folder, monkeypatch, arguments, problem):
    no_weights(monkeypatch)
    code = 4 if "--lock" in arguments else 7
    assert problems_of("generate", "day.yaml", "--locked", *arguments, code=code) == [problem]


def test_the_lock_of_a_seed_that_is_drawn_tells_which_it_holds(folder, monkeypatch):
    no_weights(monkeypatch)
    Path("lots.yaml").write_text(SCENE.replace("seed: 5", "seed: random"))
    assert smd("lock", "lots.yaml", "--inputs-only", "-o", "lots.lock").exit_code == 0
    (held,) = (picture.seed for picture in read_lock("lots.lock").pictures)
    (problem,) = problems_of("generate", "lots.yaml", "--lock", "lots.lock")
    assert problem.startswith("lots.yaml:3:7: seed: lots.lock holds no picture of seed ")
    assert problem.endswith(f", which was drawn; give one that it holds by --seed: {held}")


def test_a_scene_that_is_not_held(folder, monkeypatch):
    no_weights(monkeypatch)
    Path("night.yaml").write_text(SCENE)
    assert problems_of("render", "night.yaml", "day.yaml", "--locked") == [
        "night.yaml: smd.lock does not hold this scene; smd lock night.yaml adds it"
    ]
    done = smd("generate", "-", "-o", "a.png", "--locked", stdin=SCENE)
    assert (done.exit_code, done.stderr) == (2, "stdin: a lock holds scenes that are files; save it as one\n")


def test_other_pixels_and_other_libraries_are_told_and_rendered(folder):
    change_lock(pixels="ab" * 32, versions={**pictures()[0].recipe.versions, "torch": "1.0"})
    for command, scene, output in (("generate", "day.yaml", "a.png"), ("stream", "film.yaml", "a.gif")):
        done = smd(command, scene, "-o", output, "--locked", "--json")
        assert done.exit_code == 0, done.stderr
        told = json.loads(done.stdout)
        assert [each["text"] for each in told["warnings"]] == [
            f"{output}: its pixels are not those of smd.lock; smd verify smd.lock tells by how much"
        ]
        (note,) = told["notes"]
        assert note["text"].startswith("smd.lock was made by other libraries")
        assert "torch '1.0' there, now '" in note["text"]
    skipped = smd("generate", "day.yaml", "-o", "a.png", "--locked", "--skip-existing")
    assert "its pixels are not those of smd.lock" in skipped.stderr


def test_a_lock_of_another_rendering_version_holds_nothing(folder, monkeypatch):
    change_lock(rendering=0)
    no_weights(monkeypatch)
    assert problems_of("render", "day.yaml", "--seed", "5,6", "--locked") == [
        f"smd.lock: holds pictures of rendering version 0, and this smd has {RENDERING_VERSION}; "
        "lock the scenes again"
    ]


def test_a_model_that_moved_on_the_hub_is_told_with_its_revisions(folder, monkeypatch):
    digests = {**pictures()[0].recipe.digests, "model.base": "ab" * 32}
    change_lock(0, 4, revision="1234abcd", digests=digests)
    no_weights(monkeypatch)
    assert problems_of("generate", "day.yaml", "--locked") == [
        "day.yaml:1:1: model: is another file than that of smd.lock: revision 1234abcd, now none"
    ]


def test_inputs_alone_are_held_without_a_model(folder, monkeypatch):
    no_weights(monkeypatch)
    done = smd("lock", "day.yaml", "film.yaml", "--inputs-only", "-o", "inputs.lock", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["lock"], len(told["pictures"])) == ("inputs.lock", 2)
    for inputs, whole in zip(pictures("inputs.lock"), pictures()[3:], strict=True):
        assert inputs.recipe.pixels is inputs.latents_sha256 is None
        assert inputs.recipe.digests == whole.recipe.digests
    draw_mask(Path("sun.png"), 25)
    assert problems_of("generate", "day.yaml", "--lock", "inputs.lock") == [
        "day.yaml:8:40: regions[0].mask: is another file than that of inputs.lock"
    ]


def test_pictures_are_written_where_a_folder_is_given(folder):
    done = smd("lock", "day.yaml", "film.yaml", "--output-dir", "out", "-o", "new.lock")
    assert done.exit_code == 0, done.stderr
    held = pictures("new.lock")
    assert [each.file for each in held] == ["out/day_5.png", "out/film_0.gif"]
    whole = {each.scene: each for each in pictures() if each.overrides != {"bootstrap.steps": 0}}
    for each in held:
        told = json.loads(smd("inspect", each.file, "--json").stdout)
        assert told["digests"] == each.recipe.digests
    assert held[1].recipe.pixels == whole["film.yaml"].recipe.pixels
    draw_mask(Path("sun.png"), 25)
    assert smd("lock", "day.yaml", "--output-dir", "out", "-o", "new.lock").exit_code == 2
    assert pictures("new.lock") == held


def test_scenes_that_are_gone_are_left_out(folder):
    Path("film.yaml").unlink()
    done = smd("lock", "day.yaml", "--inputs-only")
    assert done.stderr == "note: smd.lock: film.yaml is gone, and its pictures are left out\n"
    assert [each.scene for each in pictures()] == ["day.yaml"]


def test_a_lock_elsewhere_names_scenes_from_its_folder(folder):
    Path("locks").mkdir()
    assert smd("lock", "day.yaml", "--inputs-only", "-o", "locks/a.lock").exit_code == 0
    assert pictures("locks/a.lock")[0].scene == "../day.yaml"
    done = smd("generate", "day.yaml", "--lock", "locks/a.lock", "--dry-run")
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["-"], 2, "stdin: a lock holds scenes that are files; save it as one"),
        (["day.yaml", "--name", "a.png"], 2, "--name a.png: is of pictures, which only --output-dir writes"),
        (["day.yaml", "--overwrite"], 2, "--overwrite: is of pictures, which only --output-dir writes"),
        (["day.yaml", "--inputs-only", "--output-dir", "out"], 2, "--inputs-only: renders no pictures for "),
        (["day.yaml", "-o", "day.yaml"], 4, "day.yaml: is no lock: "),
        (["day.yaml", "-o", "sun.png"], 4, "sun.png: is no lock: no UTF-8 text"),
        (["day.yaml", "-o", "-"], 2, "-: is standard output, which this is not written to"),
        (["day.yaml", "-o", "."], 2, ".: is a directory; give a file name"),
        (["day.yaml", "-o", "day.yaml/smd.lock"], 2, "day.yaml/smd.lock: "),
        (["gone.yaml"], 3, "gone.yaml: no such file"),
    ],
)
def test_what_cannot_be_locked_is_told_before_any_work(folder, monkeypatch, arguments, code, says):
    no_weights(monkeypatch)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    done = smd("lock", *arguments, stdin=SCENE)
    assert (done.exit_code, done.stderr.startswith(says)) == (code, True), done.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_a_lock_in_a_folder_that_is_yet_to_be_made_holds_scenes_beside_that(folder):
    done = smd("lock", "day.yaml", "--inputs-only", "-o", "new/deep/smd.lock")
    assert (done.exit_code, done.stderr) == (0, "")
    assert {picture.scene for picture in pictures("new/deep/smd.lock")} == {"../../day.yaml"}


def test_a_lock_is_whole_or_the_old_one(folder, monkeypatch):
    before = Path("smd.lock").read_bytes()
    Path("far.yaml").write_text(SCENE.replace("width: 64", "width: 60"))  # which only the model refuses
    assert smd("lock", "day.yaml", "far.yaml", "--seed", "9").exit_code == 3
    with largest_file(1000):
        done = smd("lock", "day.yaml", "--inputs-only")
    assert (done.exit_code, done.stderr) == (1, "smd.lock: cannot be written: File too large\n")
    assert Path("smd.lock").read_bytes() == before
    Path("smd.lock").write_text('{"smd_lock": 2, "scenes": []}')
    no_weights(monkeypatch)
    done = smd("lock", "day.yaml")
    assert done.exit_code == 4
    assert done.stderr.splitlines()[1] == (
        "smd.lock: is not replaced; remove it, or give another file by --output"
    )


def test_a_file_that_only_this_machine_has_is_warned_of(folder, tmp_path):
    shutil.copytree(FLATLAND, tmp_path / "model")
    done = smd("lock", "day.yaml", "--inputs-only", "--model", str(tmp_path / "model"))
    assert done.exit_code == 0, done.stderr
    assert f"model.base is {tmp_path / 'model'} by an option, which the lock says too" in done.stderr
    done = smd("lock", "day.yaml", "--inputs-only", "--model", "../model")
    assert (done.exit_code, done.stderr) == (0, "")
    assert pictures()[0].overrides == {"model.base": "../model"}
    assert smd("generate", "day.yaml", "--locked", "--model", "../model", "--dry-run").exit_code == 0
