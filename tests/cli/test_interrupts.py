"""Signals end the program whatever it is in the middle of, and never a program that uses its packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCENE = """
smd: 1
canvas: {width: 128, height: 128}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 1]}}]
"""
RUN = """
import os, signal, sys
def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
{}
from smd_cli.__main__ import main
sys.argv = ["smd", *sys.argv[1:]]
main()
"""
CHECK = ("check", "s.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


def run(preparation: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Run smd in a process of its own that has executed some code before."""
    command = [sys.executable, "-c", RUN.format(preparation), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def ended(done: subprocess.CompletedProcess) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# Each of these loses a KeyboardInterrupt, or makes another exception of it.
SWALLOWING = {
    "an import that falls back": """
class Finder:
    def find_spec(self, name, *_):
        if name == "yaml":
            try:
                send(signal.SIGINT)
            except BaseException:
                raise ImportError(name)
sys.meta_path.insert(0, Finder())
""",
    "a destructor": """
class Fleeting:
    def __del__(self):
        send(signal.SIGINT)
from smd_cli.app import origin
def load(*arguments, **options):
    Fleeting()
    return whole(*arguments, **options)
whole, origin.load = origin.load, load
""",
    "a callback from C": """
import ctypes
from smd_cli.app import origin
def load(*arguments, **options):
    ctypes.CFUNCTYPE(None)(lambda: send(signal.SIGINT))()
    return whole(*arguments, **options)
whole, origin.load = origin.load, load
""",
}


@pytest.mark.parametrize("place", SWALLOWING)
def test_an_interrupt_ends_a_run_where_an_exception_would_be_lost(place):
    assert ended(run(SWALLOWING[place], *CHECK)) == (130, "", "interrupted\n")


AT_LOADING = """
from smd_cli.app import origin
def load(*_, **__):
    {}
    raise SystemExit("it goes on")
origin.load = load
"""


@pytest.mark.parametrize(
    ("signals", "code", "word"),
    [
        ("*[signal.SIGINT] * 10", 130, "interrupted"),
        ("signal.SIGTERM, signal.SIGINT", 143, "terminated"),
        ("signal.SIGHUP", 129, "hung up"),
    ],
)
def test_the_first_signal_names_the_exit_code(signals, code, word):
    done = run(AT_LOADING.format(f"send({signals})"), *CHECK)
    assert ended(done) == (code, "", f"{word}\n")


def test_a_document_is_printed_all_the_same():
    done = run(AT_LOADING.format("send(signal.SIGTERM)"), *CHECK, "--json")
    assert (done.returncode, done.stderr) == (143, "terminated\n")
    assert [problem["text"] for problem in json.loads(done.stdout)["problems"]] == ["terminated"]


def test_what_takes_long_in_c_is_not_waited_for():
    long = "import hashlib, threading; threading.Timer(0.3, send, [signal.SIGINT]).start(); "
    long += "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
    assert ended(run(AT_LOADING.format(long), *CHECK)) == (130, "", "interrupted\n")


def test_last_words_that_never_end_are_not_waited_for_long():
    stuck = """
import threading
from smd_cli import interrupts
interrupts.NOTICE = interrupts.LAST_WORDS = 0.2
interrupts.remember(lambda word: threading.Event().wait())
"""
    done = run(stuck + AT_LOADING.format("send(signal.SIGINT)"), *CHECK)
    assert ended(done) == (130, "", "interrupted\n")


def test_what_is_half_done_is_finished_first(folder):
    at_writing = """
from pathlib import Path
def write_bytes(self, data):
    with self.open("wb") as file:
        file.write(data[:9])
        send(signal.SIGINT, signal.SIGINT)
        file.write(data[9:])
Path.write_bytes = write_bytes
"""
    assert ended(run(at_writing, "new", "mine")) == (130, "", "interrupted\n")
    assert sorted(path.name for path in folder.iterdir()) == ["mine.yaml", "s.yaml"]
    assert run("", "check", "mine.yaml").returncode == 0


def test_what_is_half_done_and_stuck_is_not_waited_for_long():
    stuck = """
from smd_cli import interrupts
from smd_cli.media import drafts
interrupts.NOTICE = interrupts.PATIENCE = 0.2
def commit(self, *_):
    send(signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    while True:
        pass
drafts.Draft.commit = commit
"""
    assert ended(run(stuck, "new", "mine")) == (130, "", "interrupted\n")


def test_a_signal_is_too_late_when_all_is_done():
    late = "import atexit; atexit.register(send, signal.SIGINT, signal.SIGTERM)"
    assert ended(run(late, *CHECK)) == ended(run("", *CHECK))


def test_what_the_caller_ignores_stays_ignored():
    """As nohup does, and shells do for jobs in the background."""
    ignored = "for number in (signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)"
    send = AT_LOADING.format("send(signal.SIGHUP, signal.SIGINT)")
    assert ended(run(ignored + send, *CHECK)) == (1, "", "it goes on\n")


def test_the_packages_leave_signals_to_the_program_that_uses_them():
    code = "import signal, smd_cli.cli.app, smd_cli; smd_cli.load_scene('s.yaml')\n"
    code += "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.set_wakeup_fd(-1))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True -1\n"


def test_what_takes_long_is_said_after_all_else():
    """There is time for a JSON document, and no more than is left for workers that are waited for."""
    program = """
import os, signal, time
from smd_cli.interrupts import handle_signals, last_words
handle_signals()
with last_words(print), last_words(lambda _: time.sleep(60), takes_long=True):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-uc", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "terminated\n")


def test_last_words_that_finish_something_let_the_others_follow():
    """The lines of a report are each written whole, its last one as well."""
    program = """
import os, signal, time
from smd_cli.interrupts import finishing, handle_signals, last_words
def report(word):
    with finishing():
        print("report", word)
handle_signals()
with last_words(print), last_words(report):
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-uc", program], capture_output=True, text=True, check=False)
    assert ended(done) == (129, "report hung up\nhung up\n", "hung up\n")
