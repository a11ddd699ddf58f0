"""`smd render`: scenes, seeds and settings as one batch."""

import json
from pathlib import Path

import pytest

from smd_cli.media.recipe import read_recipe
from tests.cli.program import no_weights, smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 3
sampler: {indices: [0, 25]}
background: {prompt: a sunset}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}]
"""
FILM = SCENE + "task: stream\nstream: {frames: 2}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    Path("day.yaml").write_text(SCENE)
    Path("film.yaml").write_text(FILM)
    return tmp_path


def test_pictures_and_streams_are_those_of_their_own_commands():
    done = smd("render", "film.yaml", "day.yaml", "--seed", "1,2", "--matrix", "bootstrap.steps=0,1", "-q")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"{name}_{seed}_bootstrap.steps={steps}.{suffix}"
        for name, suffix in (("film", "gif"), ("day", "png"))
        for steps in (0, 1)
        for seed in (1, 2)
    ]
    assert smd("generate", "day.yaml", "--seed", "2", "--set", "bootstrap.steps=1", "-q").exit_code == 0
    assert smd("stream", "film.yaml", "--seed", "2", "--set", "bootstrap.steps=1", "-q").exit_code == 0
    for made, alone in (
        ("day_2_bootstrap.steps=1.png", "day_2.png"),
        ("film_2_bootstrap.steps=1.gif", "film_2.gif"),
    ):
        assert Path(made).read_bytes() == Path(alone).read_bytes()


def test_the_document():
    report = json.loads(smd("render", "day.yaml", "film.yaml", "--json").stdout)
    assert [Path(output["path"]).name for output in report["outputs"]] == ["day_3.png", "film_3.gif"]
    assert report["work"]["model_evaluations"] > 0
    assert report["timing"]["denoise_s"] > 0
    assert report["skipped"] == report["problems"] == []
    again = json.loads(smd("render", "day.yaml", "film.yaml", "--json", "--skip-existing").stdout)
    assert [each["sha256"] for each in again["skipped"]] == [each["sha256"] for each in report["outputs"]]
    assert again["outputs"] == []


def test_what_is_there_already_needs_no_weights(monkeypatch):
    assert smd("render", "day.yaml", "--seed", "1-3", "-q").exit_code == 0
    Path("day_2.png").unlink()
    assert smd("render", "day.yaml", "--seed", "1-3", "--skip-existing", "-q").stdout == "day_2.png\n"
    no_weights(monkeypatch)
    done = smd("render", "day.yaml", "--seed", "1-3", "--skip-existing")
    assert (done.exit_code, done.stdout) == (0, "")
    notes, table = done.stderr.splitlines()[:3], done.stderr.splitlines()[3:]
    assert notes == [f"note: day_{seed}.png: exists, skipped" for seed in (1, 2, 3)]
    assert [line.split() for line in table[:2]] == [["scene", "skipped"], ["day", "3"]]
    done = smd("render", "day.yaml", "--seed", "1-3", "--set", "bootstrap.steps=0", "--skip-existing")
    assert done.exit_code == 2
    assert "day_1.png: is another picture: bootstrap.steps 2, now 0" in done.stderr


def test_everything_is_known_before_the_first_picture(monkeypatch):
    no_weights(monkeypatch)
    Path("bad.yaml").write_text(SCENE.replace("seed", "sede"))
    Path("far.yaml").write_text(SCENE + "model: gone/model\n")
    Path("near.yaml").write_text(SCENE + "model: gone.safetensors\n")
    Path("note.png").write_text("mine")
    cases = [
        (("day.yaml", "bad.yaml"), 3, "bad.yaml:3:1: sede: unknown key; did you mean seed?"),
        (("day.yaml", "--matrix", "bootstrap.steps=0,-1"), 3, "--matrix bootstrap.steps=0,-1"),
        (("day.yaml", "--matrix", "bootstrap.stepz=0"), 3, "did you mean steps?"),
        (("day.yaml", "day.yaml"), 2, "day_3.png: is to be two pictures: day.yaml, seed 3, and day.yaml"),
        (("day.yaml", "near.yaml"), 4, "near.yaml:7:8: model"),
        (("day.yaml", "far.yaml", "--offline"), 4, "far.yaml:7:8: model"),
        (("day.yaml", "--name", "note.png"), 2, "note.png: exists, and is no picture of smd's"),
        (("day.yaml", "--name", "{scene}.bmp"), 2, ".bmp"),
        (("day.yaml", "--zip"), 2, "--zip: "),
        (("day.yaml", "--devices", "cpu,"), 2, "--devices cpu,: write it as names with commas"),
        (("-",), 2, "-: a scene from standard input has no name; give --name"),
        (("day.yaml", "gone.yaml"), 3, "gone.yaml: no such file"),
    ]
    for arguments, code, says in cases:
        done = smd("render", *arguments)
        assert (done.exit_code, says in done.stderr) == (code, True), (arguments, done.output)
        assert sorted(path.suffix for path in Path().glob("*.png")) == [".png"], arguments


def test_one_that_fails_stops_no_other(monkeypatch):
    Path("wide.yaml").write_text(SCENE)

    from smd_cli.app.renderer import Renderer
    from smd_cli.errors import DeviceError

    render = Renderer.render

    def failing(self, scene, *, seed):
        if scene.plan.name == "wide":
            raise DeviceError("the memory is not enough")
        return render(self, scene, seed=seed)

    monkeypatch.setattr(Renderer, "render", failing)
    done = smd("render", "wide.yaml", "day.yaml", "--seed", "1,2", "-q")
    assert (done.exit_code, done.stdout) == (6, "day_1.png\nday_2.png\n")
    assert done.stderr.splitlines() == [
        "wide_1.png: seed 1: the memory is not enough",
        "2 of 4 pictures failed; the others are written",
    ]
    done = smd("render", "wide.yaml", "day.yaml", "--seed", "1,2", "-q", "--fail-fast")
    assert (done.exit_code, done.stdout) == (6, "")
    assert done.stderr.splitlines()[-1] == "1 of 4 pictures failed; 3 were not made"
    assert smd("render", "wide.yaml", "-q").exit_code == DeviceError.exit_code


def test_generate_renders_a_matrix_too_and_a_stream_is_one():
    Path("day.yaml").write_text(SCENE + "matrix: {bootstrap.steps: [0, 1]}\n")
    done = smd("generate", "day.yaml", "-q")
    assert done.stdout.splitlines() == ["day_3_bootstrap.steps=0.png", "day_3_bootstrap.steps=1.png"]
    recipe = read_recipe(Path("day_3_bootstrap.steps=1.png"))
    assert recipe.scene["bootstrap"]["steps"] == 1
    assert "matrix" not in recipe.scene
    Path("film.yaml").write_text(FILM + "matrix: {bootstrap.steps: [0, 1]}\n")
    done = smd("stream", "film.yaml")
    assert (done.exit_code, "film.yaml:9:9: matrix: is for several streams" in done.stderr) == (3, True)
    Path("film.yaml").write_text(FILM + "matrix: {sampler.indices: [[0]]}\n")
    assert smd("stream", "film.yaml", "-q", "-o", "one.gif").exit_code == 0
    assert read_recipe(Path("one.gif")).scene["sampler"]["indices"] == [0]
    planned = json.loads(smd("plan", "film.yaml", "--json").stdout)
    assert len(planned["steps"]) == 1


def test_check_looks_at_every_point():
    Path("day.yaml").write_text(SCENE + "matrix: {bootstrap.steps: [0, 1, -3], masks.std: [0, -1]}\n")
    done = smd("check", "day.yaml")
    assert done.exit_code == 3
    assert done.stderr.splitlines() == [
        "day.yaml:7:54: masks.std: -1 is below 0",
        "day.yaml:7:34: bootstrap.steps: -3 is below 0",
    ]


def test_a_dry_run_lists_the_files(monkeypatch):
    no_weights(monkeypatch)
    done = smd("render", "day.yaml", "film.yaml", "--seed", "1,2", "--dry-run", "--output-dir", "out")
    assert done.stdout.splitlines() == ["out/day_1.png", "out/day_2.png", "out/film_1.gif", "out/film_2.gif"]
    assert not Path("out").exists()
