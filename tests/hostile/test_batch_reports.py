"""The report of a batch that is killed: whole lines, and each tells of a file that is there."""

import json
import subprocess
import sys
import time
from pathlib import Path

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0]}
background: {prompt: grass}
"""


def test_a_batch_that_is_killed_leaves_whole_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("day.yaml").write_text(SCENE)
    report = Path("lines.jsonl")
    command = [sys.executable, "-m", "smd_cli", "render", "day.yaml", "--seed", "1-500", "-q"]
    with subprocess.Popen([*command, "--report", str(report)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and (not report.exists() or report.read_bytes().count(b"\n") < 4):
            time.sleep(0.01)
        process.kill()
    text = report.read_text()
    assert text.endswith("\n")
    head, *jobs = map(json.loads, text.splitlines())
    assert (head["event"], head["jobs"], len(jobs) >= 3) == ("batch", 500, True)
    assert all(Path(job["path"]).exists() and job["status"] == "written" for job in jobs)
