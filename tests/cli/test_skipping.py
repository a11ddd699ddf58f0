"""A second run with --skip-existing needs neither torch nor a model."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.program import smd

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
"""
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["diffusers"] = sys.modules["transformers"] = None
from smd_cli.__main__ import main
main()
"""


def test_a_second_run_imports_no_torch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("day.yaml").write_text(SCENE)
    arguments = ["render", "day.yaml", "--seed", "1,2", "--skip-existing"]
    assert smd(*arguments).exit_code == 0
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.count("exists, skipped") == 2
