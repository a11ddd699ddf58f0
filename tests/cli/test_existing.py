"""Files that exist: the same picture is written again, another one never without being asked for."""

import json
from hashlib import sha256
from pathlib import Path

import av
import pytest
from PIL import Image

from smd_cli.app.streaming import _Written
from smd_cli.media.recipe import read_recipe
from tests.cli.program import no_weights, smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 5
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: sun.png}
stream: {frames: 2}
"""


@pytest.fixture(autouse=True)
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("day.yaml").write_text(SCENE)
    draw_mask(20)
    return "day.yaml"


def draw_mask(side: int) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, side, side))
    mask.save("sun.png")


def test_the_default_name_depends_on_no_other_seed():
    both = json.loads(smd("generate", "day.yaml", "--seed", "3,5", "--json").stdout)
    assert [output["path"] for output in both["outputs"]] == ["day_3.png", "day_5.png"]
    before = Path("day_5.png").read_bytes()
    assert smd("generate", "day.yaml").stdout == "day_5.png\n"  # the same picture is written again
    assert Path("day_5.png").read_bytes() == before


def test_another_picture_is_never_replaced_unasked(monkeypatch):
    assert smd("generate", "day.yaml").exit_code == 0
    before = Path("day_5.png").read_bytes()
    change = ("--set", "bootstrap.steps=1", "--set", "regions[0].prompt=the moon")
    with monkeypatch.context() as context:
        no_weights(context)
        for more in ((), ("--skip-existing",)):
            done = smd("generate", "day.yaml", *change, *more, "--json")
            assert done.exit_code == 2, done.stderr
            (problem,) = json.loads(done.stdout)["problems"]
            assert problem["text"] == (
                "day_5.png: is another picture: bootstrap.steps 2, now 1, regions[sun].prompt 'the sun', "
                f"now 'the moon'; {' '.join((*more, '--overwrite'))} replaces it"
            )
        draw_mask(40)
        done = smd("generate", "day.yaml")
        assert (done.exit_code, "regions[sun].mask is another file" in done.stderr) == (2, True)
    assert Path("day_5.png").read_bytes() == before
    assert smd("generate", "day.yaml", *change, "--overwrite").exit_code == 0
    assert read_recipe(Path("day_5.png")).scene["bootstrap"]["steps"] == 1


def test_what_is_there_already_is_skipped_and_listed(monkeypatch):
    made = json.loads(smd("generate", "day.yaml", "--seed", "3", "--json").stdout)
    both = json.loads(smd("generate", "day.yaml", "--seed", "3,4", "--skip-existing", "--json").stdout)
    assert (both["skipped"], [output["seed"] for output in both["outputs"]]) == (made["outputs"], [4])
    no_weights(monkeypatch)
    done = smd("generate", "day.yaml", "--seed", "3,4", "--skip-existing", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["outputs"], report["skipped"]) == ([], [*made["outputs"], *both["outputs"]])
    Path("day_4.png").write_bytes(b"mine")
    done = smd("generate", "day.yaml", "--seed", "3,4", "--skip-existing")
    assert (done.exit_code, "day_4.png: exists, and is no picture of smd's" in done.stderr) == (2, True)


@pytest.mark.parametrize("target", ["out/day_5.png", "out/day_5.gif", "out/day_5/"])
def test_what_is_out_of_date_is_made_anew_beside_what_is_skipped(target, monkeypatch):
    day = SCENE + ("" if target.endswith(".png") else "task: stream\n")
    Path("day.yaml").write_text(day)
    Path("night.yaml").write_text(day.replace("sun.png", "{box: [0, 0, 1, 1]}"))
    name = f"{{scene}}_{{seed}}{target.removeprefix('out/day_5')}"
    named = ["day.yaml", "night.yaml", "--output-dir", "out", "--name", name]
    run = ["render", *named, "--skip-existing", "--overwrite", "--json"]
    both = json.loads(smd(*run).stdout)
    assert [len(both[key]) for key in ("outputs", "skipped")] == [2, 0]
    draw_mask(40)
    second = json.loads(smd(*run).stdout)
    assert [output["path"] for output in second["outputs"]] == [target]
    assert [output["path"] for output in second["skipped"]] == [both["outputs"][1]["path"]]
    assert second["outputs"][0]["pixels_sha256"] != both["outputs"][0]["pixels_sha256"]
    no_weights(monkeypatch)
    assert json.loads(smd(*run).stdout)["outputs"] == []


def test_a_file_that_carries_no_recipe_is_out_of_date():
    Path("day_5.png").write_bytes(b"theirs")
    assert smd("generate", "day.yaml", "--skip-existing").exit_code == 2
    assert Path("day_5.png").read_bytes() == b"theirs"
    assert smd("generate", "day.yaml", "--skip-existing", "--overwrite").exit_code == 0
    assert read_recipe(Path("day_5.png")).scene["bootstrap"]["steps"] == 2


@pytest.mark.parametrize("other", ["--overwrite", "--skip-existing"])
def test_fail_existing_goes_with_nothing_else(other):
    done = smd("generate", "day.yaml", "--fail-existing", other)
    assert (done.exit_code, f"--fail-existing: is the opposite of {other}" in done.stderr) == (2, True)


def test_all_files_that_are_in_the_way_are_named(monkeypatch):
    assert smd("generate", "day.yaml", "--seed", "1,2").exit_code == 0
    assert smd("generate", "day.yaml", "--seed", "3", "--no-metadata").exit_code == 0
    no_weights(monkeypatch)
    change = ("--seed", "1-4", "--set", "bootstrap.steps=1")
    done = smd("generate", "day.yaml", *change, "--skip-existing")
    hint = "; --skip-existing --overwrite replaces it"
    assert (done.exit_code, done.stderr.splitlines()) == (
        2,
        [
            f"day_1.png: is another picture: bootstrap.steps 2, now 1{hint}",
            f"day_2.png: is another picture: bootstrap.steps 2, now 1{hint}",
            f"day_3.png: exists, and carries no recipe{hint}",
        ],
    )
    assert not Path("day_4.png").exists()


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_a_picture_of_any_format_is_skipped(suffix):
    made = json.loads(smd("generate", "day.yaml", "-o", f"a{suffix}", "--json").stdout)
    done = smd("generate", "day.yaml", "-o", f"a{suffix}", "--skip-existing", "--json")
    assert (done.exit_code, json.loads(done.stdout)["skipped"]) == (0, made["outputs"]), done.stderr


@pytest.mark.parametrize("target", ["a.gif", "frames/"])
def test_a_stream_is_compared_as_a_picture_is(target, monkeypatch):
    made = json.loads(smd("stream", "day.yaml", "-o", target, "--json").stdout)
    no_weights(monkeypatch)
    done = smd("stream", "day.yaml", "-o", target, "--frames", "1")
    assert (done.exit_code, "is another picture: stream.frames 2, now 1" in done.stderr) == (2, True)
    skipped = json.loads(smd("stream", "day.yaml", "-o", target, "--skip-existing", "--json").stdout)
    (there,) = skipped["skipped"]
    assert skipped["outputs"] == []
    assert (there["path"], there["sha256"]) == (target, made["outputs"][0]["sha256"])
    assert there["pixels_sha256"] is None  # a stream's recipe is written before its frames


def frames_of(target: str) -> int:
    if target.endswith("/"):
        return len(list(Path(target).iterdir()))
    if target.endswith(".mp4"):
        with av.open(target) as opened:
            return sum(1 for _ in opened.decode(video=0))
    with Image.open(target) as image:
        return image.n_frames


@pytest.mark.parametrize("target", ["a.gif", "a.webp", "a.apng", "a.mp4", "frames/"])
def test_a_stream_that_was_cut_short_is_told_and_made_again(target, monkeypatch):
    def add(self, sink, frame):
        if frame.number == 2:
            raise KeyboardInterrupt
        whole(self, sink, frame)

    whole, stream = _Written.add, ("stream", "day.yaml", "--frames", "4", "-o", target, "--json")
    with monkeypatch.context() as context:
        context.setattr(_Written, "add", add)
        done = smd(*stream)
    report = json.loads(done.stdout)
    plays = "" if target == "frames/" else ", and play"
    assert done.exit_code == 130, done.stderr
    assert f"note: {target}: 2 of 4 frames are written{plays}\n" in done.stderr
    assert (report["frames"], frames_of(target)) == (2, 2)
    (kept,) = report["outputs"]
    digest = "" if target == "frames/" else sha256(Path(target).read_bytes()).hexdigest()
    assert (kept["path"], kept["sha256"]) == (target, digest)

    done = smd(*stream, "--skip-existing")
    assert done.exit_code == 0, done.stderr
    assert f"note: {target}: has 2 of 4 frames; rendered again\n" in done.stderr
    again = json.loads(done.stdout)
    assert (again["skipped"], again["frames"], frames_of(target)) == ([], 4, 4)
    no_weights(monkeypatch)
    assert len(json.loads(smd(*stream, "--skip-existing").stdout)["skipped"]) == 1


def test_templates_name_files_and_folders():
    name = "{task}/{scene}_{sampler.guidance_scale}_{hash:8}.png"
    done = smd("generate", "day.yaml", "--name", name, "--output-dir", "made")
    (path,) = Path("made/generate").iterdir()
    assert done.stdout == f"{path}\n"
    assert path.name == f"day_1.0_{read_recipe(path).sha256[:8]}.png"
    assert smd("stream", "day.yaml", "--name", "{scene}_{seed}/").stdout == "day_5/\n"
    assert Path("day_5/000001.png").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("day.yaml", "--name", "{scene}.png", "--seed", "1,2"),
            "day.png: is to be two pictures: day.yaml, seed 1, and day.yaml, seed 2",
        ),
        (
            ("day.yaml", "--name", "{seed}/../day.png", "--seed", "1,2"),
            "2/../day.png: is to be two pictures: day.yaml, seed 1, and day.yaml, seed 2",
        ),
        (("day.yaml", "--name", "{promt}.png"), "{promt} is unknown; known: scene, task, seed"),
        (("day.yaml", "--name", "{seed}.png", "-o", "a.png"), "--name names files as well"),
        (("day.yaml", "-o", "a.png", "--seed", "1,2"), "give --output-dir"),
        (("-",), "-: a scene from standard input has no name; give --name or --output"),
    ],
)
@pytest.mark.parametrize("task", ["generate", "stream"])
def test_names_that_cannot_be(task, arguments, says, monkeypatch):
    if task == "stream" and "1,2" in arguments:
        pytest.skip("a stream has one seed")
    no_weights(monkeypatch)
    done = smd(task, *arguments, stdin=SCENE)
    assert (done.exit_code, says in done.stderr) == (2, True), done.stderr


def test_a_scene_from_standard_input_takes_the_name_it_is_given():
    assert smd("generate", "-", "--name", "x_{seed}.png", stdin=SCENE).stdout == "x_5.png\n"


@pytest.mark.parametrize(
    "command",
    [
        ("check", "day.yaml", "--preview", "day_5.png"),
        ("plan", "day.yaml", "--preview", "day_5.png"),
        ("schema", "-o", "day_5.png"),
    ],
)
def test_what_is_not_rendered_replaces_no_rendered_picture(command):
    assert smd("generate", "day.yaml").exit_code == 0
    before = Path("day_5.png").read_bytes()
    done = smd(*command)
    assert done.exit_code == 2
    assert "day_5.png: is a rendered picture; " in done.stderr
    assert Path("day_5.png").read_bytes() == before


def test_a_preview_replaces_a_preview():
    for command in ("check", "plan", "check"):
        assert smd(command, "day.yaml", "--preview", "map.png").exit_code == 0
