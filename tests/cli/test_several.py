"""Several pictures of one run: one that fails stops no other, and is told with its file and seed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smd_cli.app.streaming import StreamFrame, _Written
from smd_cli.cli import batches
from smd_cli.media.recipe import read_recipe
from smd_cli.media.sinks import Sink
from tests.cli.program import smd
from tests.limits import largest_file

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}
stream: {frames: 2}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    Path("day.yaml").write_text(SCENE)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_of_several_fails() -> None:
    made = json.loads(smd("generate", "day.yaml", "--seed", "1-3", "--json").stdout)
    sizes = {output["seed"]: Path(output["path"]).stat().st_size for output in made["outputs"]}
    largest = max(sizes, key=sizes.__getitem__)
    others = [seed for seed in sizes if seed != largest]
    seeds = f"{others[0]},{largest},{others[1]}"
    with largest_file(sizes[largest] - 1):
        done = smd("generate", "day.yaml", "--seed", seeds, "--json", "--output-dir", "new", "-q")
    assert done.exit_code == 6, done.stderr
    told = [
        f"new/day_{largest}.png: seed {largest}: cannot be written: File too large",
        "1 of 3 pictures failed; the others are written",
    ]
    assert done.stderr.splitlines() == told
    report = json.loads(done.stdout)
    assert [output["seed"] for output in report["outputs"]] == others
    first, summary = report["problems"]
    assert (first["file"], first["text"]) == (
        f"new/day_{largest}.png",
        f"seed {largest}: cannot be written: File too large",
    )
    assert summary["text"] == told[1]
    assert files(Path("new")) == [f"day_{seed}.png" for seed in sorted(others)]
    for seed in others:
        assert Path(f"new/day_{seed}.png").read_bytes() == Path(f"day_{seed}.png").read_bytes()

    with largest_file(100):
        done = smd("generate", "day.yaml", "--seed", "4,5", "-q")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "day_4.png: seed 4: cannot be written: File too large",
        "day_5.png: seed 5: cannot be written: File too large",
        "all 2 pictures failed",
    ]


def after_the_first_picture(monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    """Let another program do something once a picture is there."""

    def printed(path: str) -> None:
        monkeypatch.undo()
        print(path)
        change()

    monkeypatch.setattr(batches, "print_result", printed)


def test_a_file_that_appears_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def appear() -> None:
        monkeypatch.chdir(tmp_path)
        Path("day_2.png").write_bytes(b"theirs")

    for policy, says in (
        ((), "exists, and is no picture of smd's"),
        (("--fail-existing",), "exists already"),
        (("--skip-existing",), "exists, and is no picture of smd's"),
    ):
        for path in tmp_path.glob("*.png"):
            path.unlink()
        after_the_first_picture(monkeypatch, appear)
        done = smd("generate", str(tmp_path / "day.yaml"), "--seed", "1-3", "-q", *policy)
        assert (done.exit_code, done.stdout) == (6, "day_1.png\nday_3.png\n"), done.output
        beside = "--skip-existing " * ("--skip-existing" in policy)
        assert f"day_2.png: seed 2: {says}; {beside}--overwrite replaces it\n" in done.stderr
        assert Path("day_2.png").read_bytes() == b"theirs"
    after_the_first_picture(monkeypatch, appear)
    assert smd("generate", str(tmp_path / "day.yaml"), "--seed", "1,2", "-q", "--overwrite").exit_code == 0
    assert read_recipe(tmp_path / "day_2.png").seed == 2


def test_what_ends_all_pictures_ends_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def replace() -> None:
        shutil.rmtree(tmp_path / "new")
        (tmp_path / "new").write_text("mine")

    scene, new = str(tmp_path / "day.yaml"), str(tmp_path / "new")
    after_the_first_picture(monkeypatch, replace)
    done = smd("generate", scene, "--seed", "1-3", "--output-dir", new)
    assert (done.exit_code, done.stdout) == (2, f"{new}/day_1.png\n")
    assert "note: 1 of 3 pictures are written\n" in done.stderr
    assert done.stderr.splitlines()[-1] == f"{new}/day_2.png: {new} is a file, not a folder"
    assert Path(new).read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["--fail-existing", "--skip-existing"])
def test_two_runs_at_once(policy: str) -> None:
    command = [sys.executable, "-m", "smd_cli", "generate", "day.yaml", "--seed", "1-2", policy, "--json"]
    runs = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    ended = [(json.loads(run.communicate()[0]), run.returncode) for run in runs]
    written = sorted(output["seed"] for report, _ in ended for output in report["outputs"])
    codes = {code for _, code in ended}
    if policy == "--skip-existing":
        assert codes == {0}
        assert set(written) == {1, 2}  # twice where both looked before either had written: the same bytes
        skipped = [each["seed"] for report, _ in ended for each in report["skipped"]]
        assert sorted(written + skipped) == [1, 1, 2, 2]
    else:
        assert written == [1, 2]
        assert codes <= {0, 2, 6}
        assert sum(len(report["problems"]) > 0 for report, _ in ended) >= 1
    assert files(Path()) == ["day.yaml", "day_1.png", "day_2.png"]
    assert [read_recipe(Path(f"day_{seed}.png")).seed for seed in (1, 2)] == [1, 2]


@pytest.mark.parametrize("target", ["new/a.gif", "new/a.mp4", "new/frames/"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_folder_that_goes_while_a_stream_is_written(
    target: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _Written.add

    def add(self: _Written, sink: Sink, frame: StreamFrame) -> None:
        whole(self, sink, frame)
        if self.frames == at:  # of two
            shutil.rmtree("new")

    monkeypatch.setattr(_Written, "add", add)
    done = smd("stream", "day.yaml", "-o", target, "--json")
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].startswith(f"{target.rstrip('/')}: ")
    assert json.loads(done.stdout)["outputs"] == []
    assert files(Path()) == ["day.yaml"]
