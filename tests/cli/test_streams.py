"""The program started with streams that are closed, full, or of a narrow encoding: each run is a process."""

import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from smd_cli.cli.console import print_result
from smd_cli.cli.streams import visible_streams
from smd_cli.standard_streams import open_standard_streams

SCENE = """\
smd: 1
canvas: {width: 128, height: 128}
background: {prompt: a field}
regions:
  - {name: é 猫, prompt: a boy, mask: {box: [0, 0, 0.5, 1]}}
"""
CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
GOOD = "s.yaml: good, 128x128 px\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    (tmp_path / "s.yaml").write_text(SCENE, encoding="utf-8")
    return tmp_path


def run(line: str, **environment: str) -> tuple[int, bytes, bytes]:
    """Run a command line of a shell, in which smd is this program."""
    shell = f'smd() {{ "{sys.executable}" -m smd_cli "$@"; }}; {line}'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, env={**os.environ, **environment})
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"internal error" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closed", CLOSED.values(), ids=CLOSED)
def test_a_closed_stream_is_like_dev_null(closed):
    code, out, err = run(f"smd check s.yaml {closed}")
    assert (code, err) == (0, b"")
    assert out.startswith(b"" if closed == ">&-" else GOOD.encode())
    code, out, err = run(f"smd check gone.yaml {closed}")
    assert (code, out) == (3, b"")
    assert err == (b"" if closed == "2>&-" else b"gone.yaml: no such file\n")


def test_a_scene_from_a_closed_or_unreadable_stdin_is_told():
    assert run("smd check - <&-") == (2, b"", b"-: standard input is closed; give a scene file\n")
    assert run("smd check - 0>/dev/null") == (3, b"", b"stdin: cannot be read: Bad file descriptor\n")


def test_frames_to_a_closed_stdout_are_refused():
    said = b"standard output is closed; give a file name\n"
    assert run("smd stream s.yaml --frames 2 -o - >&-") == (2, b"", said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("check s.yaml", 1),
        ("check s.yaml --json", 1),
        ("--help", 1),
        ("--version", 1),
        ("check gone.yaml --json", 3),
    ],
)
def test_results_that_cannot_be_written_are_told_and_messages_are_lost(arguments, code):
    ended, out, err = run(f"smd {arguments} >/dev/full")
    assert (ended, out) == (code, b"")
    assert err.endswith(b"standard output: cannot be written: No space left on device\n")
    ended, _, err = run(f"smd {arguments} 2>/dev/full")
    assert (ended, err) == (0 if code == 1 else code, b"")


NARROW = {
    "ascii": ({"PYTHONIOENCODING": "ascii"}, rb"\xe9 \u732b"),
    "strict": ({"PYTHONIOENCODING": "ascii:strict"}, rb"\xe9 \u732b"),
    "latin-1": ({"PYTHONIOENCODING": "latin-1"}, b"\xe9 \\u732b"),
    "C": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, rb"\xe9 \u732b"),
    "utf-8": ({"PYTHONIOENCODING": "utf-8"}, "é 猫".encode()),
}


@pytest.mark.parametrize(("environment", "name"), NARROW.values(), ids=NARROW)
def test_what_an_encoding_lacks_is_spelled_out(environment, name):
    code, out, err = run("smd check s.yaml; smd check $(printf 'caf\\351').yaml --'é'", **environment)
    assert code == 2
    assert b"  " + name + b"  " in out
    assert b"Error: No such option: --" in err
    code, _, err = run("smd check $(printf 'caf\\351').yaml", **environment)
    assert (code, err) == (3, b"caf\\udce9.yaml: no such file\n")


def test_no_file_takes_the_number_of_a_closed_stream():
    line = (
        "from smd_cli.standard_streams import open_standard_streams as o; o(); print(open('s.yaml').fileno())"
    )
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{line}" <&- 2>&-'], stdout=subprocess.PIPE, check=True
    )
    assert int(done.stdout) > 2
    open_standard_streams()  # does nothing where none is closed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_work_goes_on_where_results_cannot_be_written():
    with Path("/dev/full").open("w") as full, redirect_stdout(full), visible_streams() as results:
        for seed in range(3):  # as a run prints each picture's path
            print_result(f"{seed}.png")
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        assert str(results.problem) == "standard output: cannot be written: No space left on device"
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that it can be closed
