"""How runs fail: the exit code, one line on stderr, nothing written, and a --json document with all of it."""

import json
from pathlib import Path

import pytest

from tests.cli.program import smd, told

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
background: {prompt: a field}
regions:
  - {name: boy, prompt: a boy, mask: {box: [0, 0, 0.5, 1]}}
"""
CANVAS, MASK = "{width: 64, height: 64}", "{box: [0, 0, 0.5, 1]}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    (tmp_path / "s.yaml").write_text(SCENE)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x02")
    (tmp_path / "broken.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{]      ")
    return tmp_path


def scene(old: str, new: str) -> str:
    """Write the scene, changed in one place."""
    assert old in SCENE
    Path("changed.yaml").write_text(SCENE.replace(old, new))
    return "changed.yaml"


MISTAKES = {
    "no command line": (["generate", "--json"], 2, "Missing argument 'SCENE'.", {}),
    "unknown option": (["generate", "s.yaml", "--sed", "1"], 2, "No such option: --sed", {"option": "--sed"}),
    "no number": (["stream", "s.yaml", "--frames", "many"], 2, "--frames", {"option": "--frames"}),
    "no scene": (["generate", "gone.yaml"], 3, "no such file", {"file": "gone.yaml"}),
    "a folder": (["generate", "folder.png"], 3, "is a directory", {"file": "folder.png"}),
    "bad override": (
        ["generate", "s.yaml", "--set", "sampler.tile=7"],
        3,
        "",
        {"option": "--set sampler.tile=7", "key": "sampler.tile"},
    ),
    "override of nothing": (
        ["generate", "s.yaml", "--set", "regions[girl].prompt=x"],
        2,
        "there is no [girl]",
        {"option": "--set regions[girl].prompt=x"},
    ),
    "width": (
        ["generate", "s.yaml", "-W", "100"],
        3,
        "100 is not a multiple of 8",
        {"option": "--width 100"},
    ),
    "taken": (["generate", "s.yaml", "-o", "mine.png"], 2, "mine.png: exists", {}),
    "a folder's name": (["generate", "s.yaml", "-o", "folder.png"], 2, "folder.png: is a directory", {}),
    "device": (["generate", "s.yaml", "--device", "tpu"], 5, "tpu", {}),
    "dtype": (["generate", "s.yaml", "--dtype", "int4"], 5, "int4", {}),
    "batch": (["generate", "s.yaml", "--batch", "0"], 2, "give auto or a number", {"option": "--batch 0"}),
    "model": (
        ["generate", "s.yaml", "--model", "nowhere.safetensors"],
        4,
        "nowhere.safetensors",
        {},
    ),
    "pickle": (["generate", "s.yaml", "--model", "model.ckpt"], 4, "model.ckpt", {}),
    "damaged": (["generate", "s.yaml", "--model", "broken.safetensors"], 4, "broken.safetensors", {}),
    "sink": (["stream", "s.yaml", "-o", "a.doc"], 2, "a.doc", {}),
    "no input": (
        ["stream", "s.yaml", "--input", "gone.gif"],
        4,
        "gone.gif: no such file",
        {"key": "stream.input"},
    ),
    "no recipe": (["inspect", "text.png"], 4, "text.png", {}),
    "plan": (["plan", "s.yaml", "--model", "nowhere.safetensors"], 4, "nowhere.safetensors", {}),
    "preview": (
        ["check", "s.yaml", "--preview", "p.jpg"],
        2,
        "written as PNG",
        {"option": "--preview p.jpg"},
    ),
}


def outcome(arguments: list[str]) -> tuple[int, str, dict]:
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    done = smd(*arguments, *([] if "--json" in arguments else ["--json"]))
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before  # nothing is written
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stderr, json.loads(done.stdout)


@pytest.mark.parametrize(("arguments", "code", "text", "place"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_to_people_and_machines(arguments, code, text, place):
    exit_code, said, document = outcome(arguments)
    (problem,) = document["problems"]
    assert exit_code == code
    assert text in problem["text"]
    assert problem["text"] in said
    assert problem == {**problem, **place}
    assert list(problem) == list(told(""))
    assert document["warnings"] == []


SCENES = {
    "value": ((CANVAS, "{width: 100, height: 64}"), 3, "100, height", "canvas.width"),
    "typo": (("prompt: a boy", "promt: a boy"), 3, "promt", "regions[0].promt"),
    "syntax": ((CANVAS, "{width: 64]"), 3, "{width", None),
    "mask": ((MASK, "gone.png"), 4, "gone.png", "regions[0].mask"),
    "no picture": ((MASK, "text.png"), 4, "text.png", "regions[0].mask"),
    "empty mask": ((MASK, "{ellipse: [2, 2, 0.1, 0.1]}"), 3, "{ellipse", "regions[0].mask"),
    "background": (("a field", "a field, image: gone.png"), 4, "gone.png", "background.image"),
    "task": (("smd: 1\n", "smd: 1\ntask: stream\n"), 3, "stream", "task"),
    "tile": ((CANVAS, CANVAS + "\nsampler: {tile: 12}"), 3, "12}", "sampler.tile"),
}


@pytest.mark.parametrize(("change", "code", "at", "key"), SCENES.values(), ids=SCENES)
def test_a_scene_s_mistake_has_its_line_column_and_key(change, code, at, key):
    path = scene(*change)
    before = Path(path).read_text().partition(at)[0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    exit_code, said, document = outcome(["generate", path])
    found = [(each["file"], each["line"], each["column"], each["key"]) for each in document["problems"]]
    assert exit_code == code
    assert (path, line, column, key) in found
    problem = document["problems"][found.index((path, line, column, key))]
    start = f"{path}:{line}:{column}: {key}: " if key else f"{path}:{line}:{column}: "
    assert f"{start}{problem['text']}" in said.splitlines()
    assert document["outputs"] == []


def test_all_scenes_of_a_check_are_in_its_document():
    first, second = scene("width: 64", "width: 65"), "s.yaml"
    exit_code, _, document = outcome(["check", first, second, "gone.yaml"])
    assert exit_code == 3
    assert [each["ok"] for each in document["scenes"]] == [False, True, False]
    assert document["problems"] == [*document["scenes"][0]["problems"], *document["scenes"][2]["problems"]]


def test_warnings_are_in_the_document_of_a_good_run_and_a_bad_one_quiet_or_not():
    idle = ["--set", "sampler={guidance: none, guidance_scale: 3}", "-q"]
    text, option = "3 has no effect with guidance: none", f"--set {idle[1]}"
    text, option = "3 has no effect with guidance: none", f"--set {idle[1]}"
    warning = told(text, key="sampler.guidance_scale", option=option)
    for more, code in (["--dry-run"], 0), (["--device", "tpu"], 5):
        exit_code, _, document = outcome(["generate", "s.yaml", *idle, *more])
        assert exit_code == code
        assert document["warnings"] == [warning]
    _, _, document = outcome(["check", "s.yaml", *idle])
    assert document["warnings"] == document["scenes"][0]["warnings"] == [warning]


def test_pictures_written_before_a_failure_are_in_the_document(monkeypatch):
    from smd_cli.app import renderer

    real = renderer.Renderer.render

    def render(self, opened, *, seed=None):
        if seed == 2:
            raise KeyboardInterrupt
        return real(self, opened, seed=seed)

    monkeypatch.setattr(renderer.Renderer, "render", render)
    done = smd("generate", "s.yaml", "--seed", "1", "--seed", "2", "--output-dir", "out", "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 130
    assert [output["seed"] for output in document["outputs"]] == [1]
    assert Path(document["outputs"][0]["path"]).exists()
    assert document["problems"] == [told("interrupted")]
