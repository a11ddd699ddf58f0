"""Pipes and devices in place of files, and little memory: a line, the code of the design, and no waiting."""

import os

import pytest
import typer
from typer.testing import CliRunner

from smd_cli.cli.command import Command
from tests.cli.program import FLATLAND, smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
background: {prompt: a field}
regions:
  - {name: boy, prompt: a boy, mask: {box: [0, 0, 0.5, 1]}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    for name in ("pipe", "pipe.png", "pipe.mp4", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    return tmp_path


ASKED = {
    "scene": (["check", "pipe"], 3),
    "scene that is a device": (["check", "/dev/zero"], 3),
    "model": (["generate", "s.yaml", "--model", "./pipe.safetensors"], 4),
    "model that is a device": (["generate", "s.yaml", "--model", "./zero.safetensors"], 4),
    "vae": (["generate", "s.yaml", "--set", "model.vae=./pipe.safetensors"], 4),
    "lora": (["generate", "s.yaml", "--set", "model.loras=[{path: ./pipe.safetensors}]"], 4),
    "word": (["generate", "s.yaml", "--set", "model.textual_inversions=[{path: ./pipe.safetensors}]"], 4),
    "mask": (["check", "s.yaml", "--set", "regions[boy].mask=pipe.png"], 4),
    "background": (["check", "s.yaml", "--set", "background={image: pipe.png, strength: 1, prompt: x}"], 4),
    "frames": (["stream", "s.yaml", "--input", "pipe.png", "-o", "x.gif"], 4),
    "film": (["stream", "s.yaml", "--input", "pipe.mp4", "-o", "x.gif"], 4),
    "recipe": (["inspect", "pipe"], 4),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_is_no_regular_file_is_refused(what):
    arguments, code = ASKED[what]
    done = smd(*arguments)
    assert done.exit_code == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "is a pipe, not a regular file" in last or "is a device, not a regular file" in last


@pytest.mark.parametrize("name", ["unet/config.json", "scheduler/scheduler_config.json", "model_index.json"])
def test_configs_too(name, tmp_path):
    for path in FLATLAND.rglob("*"):
        if path.is_file():
            link = tmp_path / "model" / path.relative_to(FLATLAND)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    (tmp_path / "model" / name).unlink()
    os.mkfifo(tmp_path / "model" / name)
    done = smd("generate", "s.yaml", "--model", "./model")
    assert done.exit_code == 4
    assert f"{tmp_path / 'model' / name}: is a pipe, not a regular file" in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libc10.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_too_little_memory_is_told_whoever_asks_for_it(error):
    program = typer.Typer()

    @program.command(cls=Command)
    def ask() -> None:
        raise error

    done = CliRunner().invoke(program)
    assert done.exit_code == 5
    assert done.stderr == "this machine's memory is not enough, or what a process may have of it\n"
