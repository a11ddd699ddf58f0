"""What shells ask the program for while a user types."""

import os

import pytest
from typer.testing import CliRunner

from smd_cli.cli.app import app
from smd_cli.cli.completion import DTYPES
from tests.cli.test_commands import RUN, process

COMMANDS = ("generate", "inpaint", "panorama", "stream", "plan")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def completed(words: str, shell: str = "bash") -> list[str]:
    """Ask as a shell does: the words so far, of which the last one is being typed."""
    count = str(len(words.split(" ")) - 1)
    asked = {"_SMD_COMPLETE": f"complete_{shell}", "COMP_WORDS": words, "COMP_CWORD": count}
    asked |= {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return CliRunner().invoke(app, [], env=asked, prog_name="smd").stdout.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_devices_and_dtypes(command):
    assert completed(f"smd {command} s.yaml --device ") == ["auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"]
    assert completed(f"smd {command} s.yaml --device cu") == ["cuda", "cuda:0", "cuda:1"]
    assert completed(f"smd {command} --dtype bf") == ["bfloat16"]


def test_other_shells():
    assert completed("smd plan --dtype fl", "fish") == ["float32", "float16"]
    assert "float32" in " ".join(completed("smd plan --dtype fl", "zsh"))


def test_what_is_completed_is_accepted():
    import torch

    from smd_cli.engine.device import choose_dtype

    for name in DTYPES:
        assert choose_dtype(name, torch.device("cpu" if name != "float16" else "mps"))


def test_models(folder):
    (folder / "hub" / "models--someone--paint-lcm").mkdir(parents=True)
    (folder / "hub" / "datasets--someone--flowers").mkdir()
    for name in ("style.safetensors", "style.ckpt", "notes.txt", "checkpoints/deep.safetensors", ".git/x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert completed("smd generate --model ") == [
        *("flatland", "someone/paint-lcm"),
        *("checkpoints/", "hub/", "style.safetensors"),
    ]
    assert completed("smd generate --model fl") == ["flatland"]
    assert completed("smd generate --model someone/") == ["someone/paint-lcm"]
    assert completed("smd generate --model st") == ["style.safetensors"]
    assert completed("smd generate --model ./checkpoints/") == ["./checkpoints/deep.safetensors"]
    assert completed(f"smd generate --model {folder}/sty") == [f"{folder}/style.safetensors"]
    assert completed("smd generate --model nowhere/x") == []


def test_completing_imports_no_torch():
    asked = {"_SMD_COMPLETE": "complete_bash", "COMP_WORDS": "smd plan --model fl", "COMP_CWORD": "3"}
    code = f"import os\nos.environ.update({asked!r})\n{RUN.format(['smd'])}"
    done = process(code + "try: main()\nfinally: sys.exit(str({'torch', 'numpy'} & set(sys.modules)))")
    assert (done.stdout.split(), done.stderr) == (["flatland"], "set()\n")
    assert os.environ.get("_SMD_COMPLETE") is None


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_that_a_shell_would_run_are_not_offered(folder, shell):
    names = ("m\\$(x)", "m;x", "m`x`", "m x", "m\nx", "m'x", "m&x", "m*", "mé-1.0_b")
    for name in names:
        (folder / name).mkdir()
        (folder / "hub" / f"models--owner--{name}").mkdir(parents=True)
    offered = " ".join(completed("smd generate --model ./m", shell))
    assert "./mé-1.0_b/" in offered
    assert "x" not in offered
    assert "*" not in offered.removeprefix("_arguments '*:")
    offered = " ".join(completed("smd generate --model owner", shell))
    assert "owner/mé-1.0_b" in offered
    assert "x" not in offered
