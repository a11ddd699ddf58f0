"""`smd generate` as a user meets it, on the embedded model."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.program import pixels, smd

SCENE = """\
smd: 1
canvas: {width: 192, height: 128}
seed: 5
sampler: {indices: [0, 25], tile: 128}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {ellipse: [0.3, 0.5, 0.25, 0.4]}}
"""


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sunny.yaml"
    path.write_text(SCENE)
    return str(path)


def test_the_path_goes_to_stdout_and_the_timing_to_stderr(scene, tmp_path):
    done = smd("generate", scene)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "sunny_5.png\n"
    assert pixels(tmp_path / "sunny_5.png").shape == (128, 192, 3)
    for phase in ("load", "encode", "denoise", "decode", "save", "total", "peak memory"):
        assert phase in done.stderr


def test_quiet_says_nothing_but_the_path(scene):
    done = smd("generate", scene, "--quiet", "-o", "a name.png")
    assert (done.stdout, done.stderr) == ("a name.png\n", "")


def test_json_is_one_document_that_is_true(scene, tmp_path):
    done = smd("generate", scene, "--json", "--seed", "1", "--seed", "2", "--output-dir", "made/here")
    report = json.loads(done.stdout)
    assert [output["seed"] for output in report["outputs"]] == [1, 2]
    for output in report["outputs"]:
        path = tmp_path / output["path"]
        assert path.name == f"sunny_{output['seed']}.png"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
        assert (output["width"], output["height"]) == (192, 128)
    phases = ("load_s", "encode_s", "denoise_s", "decode_s", "save_s", "total_s")
    assert tuple(report["timing"]) == phases
    assert report["timing"]["total_s"] >= report["timing"]["denoise_s"] > 0
    # Two tiles, two steps, two pictures; the sun's mask does not reach every tile with weight in each.
    assert 0 < report["work"]["model_evaluations"] <= 16
    assert report["work"]["without_savings"] == 32
    assert report["device"]["dtype"] == "float32"
    assert report["device"]["peak_memory_bytes"] > 2**26


def test_the_same_command_makes_the_same_bytes(scene, tmp_path):
    for name in ("a.png", "b.png"):
        assert smd("generate", scene, "-o", name).exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.slow
def test_batch_size_and_threads_do_not_change_the_picture(scene, tmp_path):
    assert smd("generate", scene, "-o", "a.png", "--batch", "auto").exit_code == 0
    assert smd("generate", scene, "-o", "b.png", "--batch", "1").exit_code == 0
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert smd("generate", scene, "-o", "c.png").exit_code == 0
    finally:
        torch.set_num_threads(threads)
    for other in ("b.png", "c.png"):
        assert abs(pixels("a.png") - pixels(other)).max() <= 1


def test_deterministic_files_are_the_same_whatever_the_batch_and_the_threads(scene, tmp_path):
    threads = torch.get_num_threads()
    for name, batch in (("a.png", "8"), ("b.png", "1")):
        try:
            assert smd("generate", scene, "-o", name, "--batch", batch, "--deterministic").exit_code == 0
        finally:
            torch.set_num_threads(threads + 1)
    torch.set_num_threads(threads)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_seeds_and_prompts_change_the_picture(scene):
    for name, *options in (
        ("a.png",),
        ("b.png", "--seed", "6"),
        ("c.png", "--set", "regions[sun].prompt=a house"),
    ):
        assert smd("generate", scene, "-o", name, *options).exit_code == 0
    assert abs(pixels("a.png") - pixels("b.png")).mean() > 2
    assert abs(pixels("a.png") - pixels("c.png")).mean() > 2


def test_a_picture_is_the_same_wherever_its_seed_comes_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures = {}
    for name, (seed, *options) in {
        "scene": ("8",),
        "list": ("[7, 8]", "--output-dir", "list"),
        "range": ("7-8", "--output-dir", "range"),
        "option": ("3", "--seed", "8"),
        "set": ("3", "--set", "seed=8"),
    }.items():
        Path("same.yaml").write_text(SCENE.replace("seed: 5", f"seed: {seed}"))
        done = smd("generate", "same.yaml", *options, "--overwrite")
        assert done.exit_code == 0, done.stderr
        pictures[name] = Path(done.stdout.splitlines()[-1]).read_bytes()
    assert len(set(pictures.values())) == 1


def test_a_seed_left_to_chance_is_told_and_in_the_recipe(scene):
    done = smd("generate", scene, "--seed", "random", "--json")
    (output,) = json.loads(done.stdout)["outputs"]
    assert f"note: --seed random: random this time: {output['seed']}\n" in done.stderr
    recipe = json.loads(smd("inspect", output["path"], "--json").stdout)
    assert recipe["scene"]["seed"] == output["seed"]


def test_a_picture_tells_how_to_make_it_again(scene, tmp_path):
    assert smd("generate", scene, "-o", "a.png", "--seed", "9").exit_code == 0
    again = smd("inspect", "a.png", "--scene")
    assert again.exit_code == 0
    (tmp_path / "again.yaml").write_text(again.stdout)
    assert smd("generate", "again.yaml", "-o", "b.png").exit_code == 0
    assert (pixels("a.png") == pixels("b.png")).all()
    recipe = json.loads(smd("inspect", "a.png", "--json").stdout)
    assert recipe["scene"]["seed"] == 9
    assert set(recipe["digests"]) == {"model.base", "model.config", "model.lcm_lora"}
    assert "the sun" in smd("inspect", "a.png").stdout


def test_no_metadata_leaves_the_recipe_out(scene):
    assert smd("generate", scene, "-o", "a.png", "--no-metadata").exit_code == 0
    with Image.open("a.png") as image:
        assert not image.info
    done = smd("inspect", "a.png")
    assert done.exit_code == 4
    assert "no smd recipe" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("-o", "a.png", "--seed", "1", "--seed", "2"), 2, "--output-dir"),
        (("--seed", "1", "--seed", "1"), 2, "--seed 1 --seed 1: 1 is given twice"),
        (("--seed", "3-1"), 2, "--seed 3-1: 3-1 runs backwards"),
        (("--seed", "1-99999"), 2, "more than 10,000"),
        (("--seed", "-1"), 2, "between 0 and"),
        (("-o", "a.bmp"), 2, ".png, .jpg"),
        (("--name", "{seed}.bmp"), 2, "--name 5.bmp: give a name that ends in .png"),
        (("-o", "a.webp", "-W", "16384"), 2, "16383 px"),
        (("-o", "sunny.yaml/a.png"), 2, "not a folder"),
        (("-o", "a.png", "--output-dir", "made"), 2, "--output-dir"),
        (("--device", "tpu"), 5, "unknown device"),
        (("--dtype", "float16", "--device", "cpu"), 5, "float16"),
        (("--model", "someone/something", "--offline"), 4, "smd models pull fetches it"),
        (("--model", "./nowhere"), 4, "nowhere"),
        (("--set", "task=stream"), 3, "stream"),
        (("--set", "regions[0].promt=x"), 3, "prompt"),
        (("--batch", "0"), 2, "--batch 0: give auto or a number from 1 to 1024"),
        (("--batch", "1025"), 2, "auto or a number"),
        (("--batch", "many"), 2, "auto or a number"),
    ],
)
def test_bad_options_are_one_line_and_write_nothing(scene, tmp_path, arguments, code, says):
    before = sorted(tmp_path.iterdir())
    done = smd("generate", scene, *arguments)
    assert done.exit_code == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_existing_files_are_skipped_or_refused_when_asked(scene):
    assert smd("generate", scene, "-o", "a.png").exit_code == 0
    before = Path("a.png").stat().st_mtime_ns
    skipped = smd("generate", scene, "-o", "a.png", "--skip-existing", "--json")
    assert skipped.exit_code == 0
    assert json.loads(skipped.stdout)["outputs"] == []
    assert smd("generate", scene, "-o", "a.png", "--fail-existing").exit_code == 2
    assert Path("a.png").stat().st_mtime_ns == before
    assert smd("generate", scene, "-o", "a.png", "--overwrite").exit_code == 0
    assert Path("a.png").stat().st_mtime_ns > before


def test_the_embedded_model_needs_no_network(scene, tmp_path, monkeypatch):
    def refuse(*_):
        raise SystemExit("the network was asked for")

    for asking in ("socket.socket.connect", "socket.getaddrinfo"):
        monkeypatch.setattr(asking, refuse)
    done = smd("generate", scene, "-o", "a.png")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "a.png").exists()


def test_interrupted_it_ends_with_130_and_leaves_nothing(scene, tmp_path, monkeypatch):
    from smd_cli.engine import render

    def sample(*_):
        os.kill(os.getpid(), signal.SIGINT)
        return pytest.fail("it goes on")

    monkeypatch.setattr(render, "sample", sample)
    done = smd("generate", scene, "-o", "a.png")
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "interrupted"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sunny.yaml"]


def test_a_picture_is_named_as_soon_as_it_is_there(scene, monkeypatch):
    from smd_cli.engine import render

    painted = []

    def to_image(pixels):
        if painted:
            raise MemoryError
        painted.append(whole(pixels))
        return painted[0]

    whole = render.to_image
    monkeypatch.setattr(render, "to_image", to_image)
    done = smd("generate", scene, "--seed", "1", "--seed", "2")
    assert done.exit_code == 6
    assert done.stdout == "sunny_1.png\n"
    assert "memory" in done.stderr


def test_a_file_has_its_own_place_where_the_environment_names_a_folder(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("SMD_OUTPUT_DIR", "made")
    assert smd("generate", scene, "-o", "a.png").stdout == "a.png\n"
    assert smd("generate", scene).stdout == "made/sunny_5.png\n"
    assert smd("generate", scene, "--output-dir", "here").stdout == "here/sunny_5.png\n"


def test_set_has_the_last_word(scene, monkeypatch):
    monkeypatch.setenv("SMD_MODEL", "./nowhere")
    assert smd("generate", scene, "-o", "a.png").exit_code == 4
    assert smd("generate", scene, "-o", "a.png", "--set", "model=flatland").exit_code == 0


def test_the_end_of_a_long_prompt_is_heard(scene):
    prompt = "a cat, " * 60
    for name, end in (("a.png", ""), ("b.png", "and an owl")):
        assert smd("generate", scene, "-o", name, "--set", f"background.prompt={prompt}{end}").exit_code == 0
    assert (pixels("a.png") != pixels("b.png")).any()
