"""What is printed of names and prompts that come from other people's files."""

import os
import pty
from contextlib import redirect_stdout

import pytest

from smd_cli.cli.console import print_result
from tests.cli.program import smd

HOSTILE = "a\x1b[31m\x9b2J\u202eb\tc"
SHOWN = r"a\x1b[31m\x9b2J\u202eb\tc"


@pytest.fixture
def terminal():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_result_commands_no_terminal(terminal):
    ours, theirs = terminal
    with os.fdopen(os.dup(theirs), "w", encoding="utf-8") as stdout, redirect_stdout(stdout):
        print_result(f"{HOSTILE}\nd \U0001f468\u200d\U0001f469")
    said = os.read(ours, 1000).decode().splitlines()
    assert said == [SHOWN, "d \U0001f468\u200d\U0001f469"]


def test_a_program_gets_a_result_as_it_is(capsys):
    print_result(HOSTILE)
    assert capsys.readouterr().out == f"{HOSTILE}\n"


def test_a_message_is_one_line_that_commands_no_terminal():
    said = smd("inspect", f"{HOSTILE}\nd.png").stderr
    assert said == f"{SHOWN}\\nd.png: no such file\n"
