"""Wheels leave the workshop out, and the program works without it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import smd_cli
from smd_cli.cli.quality import _benchmark

PACKAGE = Path(smd_cli.__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the package as a wheel has it: links to all of it but what the wheel excludes."""
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    excluded = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
    folder = tmp_path_factory.mktemp("installed")
    package = folder / PACKAGE.name
    package.mkdir()
    for entry in PACKAGE.iterdir():
        if f"{PACKAGE.name}/{entry.name}" not in excluded:
            (package / entry.name).symlink_to(entry)
    return folder


def python(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=installed,
        env={"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def test_wheels_leave_out_the_workshop_and_keep_the_weights(installed):
    names = {path.name for path in (installed / PACKAGE.name).iterdir()}
    assert {path.name for path in PACKAGE.iterdir()} - names == {"workshop"}
    assert (installed / PACKAGE.name / "flatland" / "weights" / "model_index.json").is_file()


def test_the_quality_benchmark_says_how_to_get_what_a_wheel_leaves_out(installed):
    done = python(installed, "-m", "smd_cli", "bench", "quality", "--row", "nonsense")
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.splitlines()
    assert "smd_cli.workshop is not part of installed wheels" in line
    assert "clone the repository and run `pip install -e .`" in line
    assert done.stdout == ""


def test_a_library_that_the_benchmark_lacks_is_not_taken_for_the_workshop(monkeypatch):
    monkeypatch.delitem(sys.modules, "smd_cli.workshop.quality.command", raising=False)
    monkeypatch.setitem(sys.modules, "rich.table", None)
    with pytest.raises(ModuleNotFoundError, match="rich"):
        _benchmark()


@pytest.mark.slow
def test_every_other_module_loads_without_the_workshop(installed):
    code = (
        "import pkgutil, importlib, smd_cli\n"
        "for module in pkgutil.walk_packages(smd_cli.__path__, 'smd_cli.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
    )
    done = python(installed, "-c", code)
    assert done.returncode == 0, done.stderr
