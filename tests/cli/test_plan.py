"""`smd plan` and `--dry-run`: what a render would take, told without one."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.models.sources import open_files
from tests.checkpoints import sd15
from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 320, height: 256}
seed: 5
sampler: {indices: [0, 25]}
bootstrap: {steps: 0}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.15, 1]}}
"""
# Two tiles, 64 px apart. The sun lies in the left one alone: three views a step, of four.
WORK = {"model_evaluations": 6, "without_savings": 16}


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sunny.yaml"
    path.write_text(SCENE)
    return str(path)


@pytest.fixture
def ordinary(tmp_path):
    """The embedded model without the LCM-LoRA that it brings."""
    embedded = open_files("flatland", offline=True).fetch(())
    without = shutil.ignore_patterns("lcm_lora")
    return shutil.copytree(embedded, tmp_path / "ordinary", copy_function=os.symlink, ignore=without)


def plan(*arguments: str) -> dict:
    done = smd("plan", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_report(scene, tmp_path):
    done = smd("plan", scene)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["sunny", "generate"]
    assert ["canvas", "320x256", "px"] in lines
    assert ["tiles", "2", "of", "256x256", "px"] in lines
    assert "schedule  lcm, steps 0 25 of 50\n" in done.stdout
    assert ["base", "flatland", "here"] in lines
    assert ["step", "views", "evaluations", "without", "savings", "share"] in lines
    assert ["1-2", "3", "3", "8", "38%"] in lines
    assert lines[-1] == ["total", "6", "6", "16", "2.7", "times", "fewer"]
    assert list(tmp_path.iterdir()) == [tmp_path / "sunny.yaml"]


def test_nothing_is_coloured_or_cut_off_a_terminal(scene, tmp_path):
    lora = tmp_path / f"{'long ' * 30}.safetensors"
    done = smd("plan", scene, "--set", f"model.loras=[{{path: '{lora}'}}]")
    assert f"lora      {lora}  missing  fused at 1\n" in done.stdout
    assert "\x1b" not in done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_in_a_terminal_shares_are_bars(scene, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    drawn = smd("plan", scene).stdout
    assert "\x1b[" in drawn
    assert "━" in drawn
    assert "%" not in drawn


def test_json(scene):
    found = plan(scene)
    assert found["work"] == WORK
    step = {"views": 3, "coupled": False, "evaluations": 3, "without_savings": 8}
    assert found["steps"] == [{"step": 1, **step}, {"step": 2, **step}]
    assert found["tiles"] == {"count": 2, "px": [256, 256]}
    keys = ("role", "source", "present", "key", "problem")
    assert [[model[key] for key in keys] for model in found["models"]] == [
        ["base", "flatland", True, "model", None],
        ["lcm_lora", "flatland/lcm_lora", True, "model", None],
    ]
    assert found["memory_bytes"] > 2**26


def test_a_plan_has_the_work_of_its_render(scene):
    small = ["-H", "128", "--set", "sampler.tile=128"]
    for options in (
        ["-W", "192"],
        ["-W", "192", "--set", "sampler.guidance_scale=2"],
        ["-W", "256", "--set", "masks.std=20"],
    ):
        rendered = json.loads(
            smd("generate", scene, *small, *options, "--json", "-o", "a.png", "-q", "--overwrite").stdout
        )
        assert plan(scene, *small, *options)["work"] == rendered["work"]


def test_guidance_evaluates_each_view_twice(scene):
    found = plan(scene, "--set", "sampler.guidance_scale=2")
    assert [(step["views"], step["evaluations"]) for step in found["steps"]] == [(3, 6), (3, 6)]
    assert "guidance full 2\n" in smd("plan", scene, "--set", "sampler.guidance_scale=2").stdout


def test_the_scene_in_a_plan_has_the_same_plan(scene, tmp_path):
    found = plan(scene, "--set", "masks.std=8")
    (tmp_path / "again.yaml").write_text(json.dumps(found["scene"]))
    again = plan("again.yaml")
    for model in (*found["models"], *again["models"]):
        del model["file"], model["line"], model["column"], model["key"]
    assert again == found


def test_steps_that_differ_are_told_apart(scene):
    soft = ["--set", "sampler.indices=[0,12,25,37]", "--set", "masks={std: 48, type: discrete}"]
    views = [step["views"] for step in plan(scene, *soft)["steps"]]
    assert len(set(views)) > 1
    *rows, _ = smd("plan", scene, *soft).stdout.partition("share\n")[2].splitlines()
    assert len(rows) == 1 + sum(one != other for one, other in pairwise(views))


def test_a_grid_that_is_taken_whole(scene):
    done = smd("plan", scene, "--set", "sampler={kind: ddim, steps: 20}")
    assert "schedule  ddim, 20 steps, leading\n" in done.stdout
    assert " 1-20 " in done.stdout


def test_a_narrow_canvas_has_narrow_tiles(scene):
    found = plan(scene, "-W", "128", "-H", "512")
    assert found["tiles"] == {"count": 3, "px": [128, 256]}


def test_a_canvas_that_closes_on_itself(scene):
    closed = ["-W", "512", "--set", "canvas.wrap=x"]
    assert "canvas    512x256 px, closed on itself\n" in smd("plan", scene, *closed).stdout
    assert plan(scene, *closed)["tiles"]["count"] == 4


def test_a_canvas_that_follows_its_picture(scene, tmp_path):
    Image.new("RGB", (201, 300)).save(tmp_path / "p.png")
    text = SCENE.replace("canvas: {width: 320, height: 256}", "task: inpaint")
    Path(scene).write_text(text.replace("{prompt: grass}", "{prompt: grass, image: p.png}"))
    assert "canvas    208x304 px, written as 201x300 px\n" in smd("plan", scene).stdout


class TestModels:
    def test_without_its_base_the_rest_is_told(self, scene):
        done = smd("plan", scene, "--model", "someone/something", "--set", "model.vae=someone/else")
        assert done.exit_code == 4
        assert "canvas    320x256 px\n" in done.stdout
        assert "base      someone/something  missing\n" in done.stdout
        assert "vae       someone/else  missing\n" in done.stdout
        assert "Tiles, work and memory are not known" in done.stdout
        base, vae = done.stderr.splitlines()
        assert base.startswith("--model someone/something: someone/something: ")
        assert vae.startswith("--set model.vae=someone/else: someone/else: ")
        here = smd("plan", scene, "--model", "someone/something", "--set", "model.vae=flatland")
        assert "vae       flatland  not known\n" in here.stdout
        assert len(here.stderr.splitlines()) == 1

    def test_without_its_base_json_says_so(self, scene):
        done = smd("plan", scene, "--model", "./nowhere.safetensors", "--json")
        assert done.exit_code == 4
        found = json.loads(done.stdout)
        assert (found["work"], found["steps"], found["tiles"], found["memory_bytes"]) == (
            None,
            [],
            None,
            None,
        )
        assert [model["present"] for model in found["models"]] == [False]
        assert found["scene"]["canvas"]["width"] == 320

    def test_without_a_lora_the_work_is_known(self, scene):
        loras = "model.loras=[{path: ./gone.safetensors}, {path: ./lost.safetensors}]"
        done = smd("plan", scene, "--set", loras, "--json")
        assert done.exit_code == 4
        found = json.loads(done.stdout)
        assert found["work"] == WORK
        assert [(model["role"], model["present"]) for model in found["models"]] == [
            ("base", True),
            ("lora", False),
            ("lora", False),
            ("lcm_lora", True),
        ]
        gone, lost = done.stderr.splitlines()
        assert "gone.safetensors: no such file" in gone
        assert "lost.safetensors: no such file" in lost

    def test_without_a_textual_inversion_too(self, scene):
        done = smd("plan", scene, "--set", "model.textual_inversions=[{path: ./gone.safetensors}]", "--json")
        assert done.exit_code == 4
        models = json.loads(done.stdout)["models"]
        assert ["textual_inversion", False] in [[model["role"], model["present"]] for model in models]
        assert "gone.safetensors: no such file" in done.stderr

    def test_ordinary_weights_need_the_lcm_lora(self, scene, ordinary):
        done = smd("plan", scene, "--model", str(ordinary), "--set", "model.lcm_lora=./gone.safetensors")
        assert done.exit_code == 4
        assert "lcm lora  " in done.stdout
        assert "gone.safetensors  missing  fused at 1\n" in done.stdout
        ddim = plan(scene, "--model", str(ordinary), "--set", "sampler={kind: ddim, steps: 4}")
        assert [model["role"] for model in ddim["models"]] == ["base"]

    def test_it_is_told_what_a_lora_is_for(self, scene, tmp_path):
        loras = {
            "model.loras": "[{path: ink.safetensors, weight: 0.5}]",
            "background.loras": "[{path: ink.safetensors, weight: 0.7}]",
            "regions[0].loras": "[{path: ink.safetensors}, {path: noir.safetensors, weight: -1}]",
        }
        edits = [part for key, value in loras.items() for part in ("--set", f"{key}={value}")]
        done = json.loads(smd("plan", scene, *edits, "--json").stdout)
        found = {model["use"]: model["source"] for model in done["models"] if model["role"] == "lora"}
        assert {use: Path(source).name for use, source in found.items()} == {
            "fused at 0.5": "ink.safetensors",
            "0.7 on background, 1 on sun": "ink.safetensors",
            "-1 on sun": "noir.safetensors",
        }

    def test_a_file_without_its_configs_is_not_missing(self, scene, tmp_path, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        file = sd15.make_file(tmp_path)
        done = smd("plan", scene, "--model", str(file))
        assert (done.exit_code, f"base      {file}  cannot be used\n" in done.stdout) == (4, True)
        assert "set model.config" in done.stderr


class TestPreview:
    def test_tiles_lie_over_the_region_map(self, scene):
        assert smd("check", scene, "--preview", "map.png").exit_code == 0
        assert smd("plan", scene, "--preview", "tiles.png").exit_code == 0
        with Image.open("map.png") as regions, Image.open("tiles.png") as tiles:
            assert regions.size == tiles.size
            assert regions.tobytes() != tiles.tobytes()

    def test_a_missing_base_has_no_tiles(self, scene):
        assert smd("check", scene, "--preview", "map.png").exit_code == 0
        assert smd("plan", scene, "--model", "./nowhere", "--preview", "tiles.png").exit_code == 4
        assert Path("map.png").read_bytes() == Path("tiles.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--preview", "p.jpg"], 2, ".png"),
        (["--batch", "0"], 2, "auto or a number"),
        (["--device", "tpu"], 5, "unknown device"),
        (["--set", "regions[0].promt=x"], 3, "prompt"),
        (["-W", "512", "--set", "canvas.wrap=x", "--set", "sampler.tile=1024"], 3, "tile"),
    ],
)
def test_bad_options_are_one_line(scene, arguments, code, says):
    done = smd("plan", scene, *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


class TestDryRun:
    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_it_is_the_plan(self, scene, tmp_path, options):
        dry = smd("generate", scene, "--dry-run", *options)
        assert (dry.exit_code, dry.stdout) == (0, smd("plan", scene, *options).stdout)
        assert list(tmp_path.iterdir()) == [tmp_path / "sunny.yaml"]

    def test_it_plans_for_its_own_task(self, scene):
        assert smd("panorama", scene, "--dry-run").stdout.startswith("sunny  panorama\n")

    def test_it_finds_what_would_stop_the_render(self, scene):
        Path("a.png").write_text("mine")
        assert smd("generate", scene, "--dry-run", "-o", "a.png").exit_code == 2


def test_quiet_leaves_the_exit_code(scene):
    done = smd("plan", scene, "-q")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    done = smd("plan", scene, "-q", "--model", "./nowhere.safetensors")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "nowhere.safetensors" in done.stderr
    assert json.loads(smd("plan", scene, "-q", "--json").stdout)["work"] == WORK


def test_an_idle_region_is_a_warning_here_too(scene):
    idle = "regions[sun].mask_strength=0.001"
    assert "region 'sun' is not painted" in smd("plan", scene, "--set", idle).stderr
    assert smd("plan", scene, "--set", idle, "-q").stderr == ""


def test_a_canvas_too_narrow_to_wrap_around_the_models_tiles_is_told_at_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "smd: 1\ntask: panorama\ncanvas: {width: 128, height: 128, wrap: x}\nbackground: {prompt: grass}\n"
    Path("ring.yaml").write_text(text)
    for command in ("plan", "panorama"):
        done = smd(command, "ring.yaml")
        assert done.exit_code == 3
        assert done.stderr.startswith("ring.yaml:3:17: canvas.width: 128 px cannot close"), done.stderr
    assert not list(tmp_path.glob("*.png"))
