"""What is printed of names, prompts and messages that come from other people's files."""

import io
import json
import logging
import os
import pty
import re
import select
import sys
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml
from PIL import Image
from rich.table import Table
from rich.text import Text

import smd_cli
from smd_cli.cli.console import (
    MessagePrinter,
    print_json,
    print_layout,
    print_result,
    print_text,
    rich_console,
)
from smd_cli.cli.document import begin_document
from smd_cli.cli.progress import show_progress
from smd_cli.cli.streams import visible_streams
from smd_cli.engine.events import Noted
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import Recipe
from smd_cli.scene.yaml_types import dump
from tests.cli.program import smd

PACKAGE = Path(smd_cli.__file__).parent
HOSTILE = "a\x1b[31m\x9b2J\u202eb\tc"
SHOWN = r"a\x1b[31m\x9b2J\u202eb\tc"
BARE, BARE_SHOWN = HOSTILE.replace("\t", ""), SHOWN.replace(r"\t", "")  # Rich makes tabs spaces
FAMILY = "\U0001f468\u200d\U0001f469"


@pytest.fixture
def terminal():
    """A terminal: what is printed on it, and the file to print to."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8", errors="backslashreplace") as file:
        yield ours, file
    os.close(ours)


def said_on(terminal) -> str:
    ours, file = terminal
    file.flush()
    said = b""
    while select.select([ours], [], [], 0)[0]:
        said += os.read(ours, 100_000)
    return said.decode()


def test_a_result_is_one_line_and_commands_no_terminal(terminal):
    with redirect_stdout(terminal[1]):
        print_result(f"{HOSTILE}\nd {FAMILY}")
        print_text(f"{HOSTILE}\nd {FAMILY}")
    assert said_on(terminal).splitlines() == [f"{SHOWN}\\nd {FAMILY}", SHOWN, f"d {FAMILY}"]


def test_a_program_gets_the_same(capsys):
    print_result(f"{HOSTILE}\nd")
    assert capsys.readouterr().out == f"{SHOWN}\\nd\n"


def test_json_is_ascii_and_exact(capsys):
    given = {"text": "".join(map(chr, range(256))) + "\u202e\udce9\U000e0041\\x7f"}
    print_json(given)
    said = capsys.readouterr().out
    assert json.loads(said) == given
    assert all(" " <= char <= "~" or char == "\n" for char in said)


def test_a_message_is_one_line_that_commands_no_terminal():
    said = smd("inspect", f"{HOSTILE}\nd.png").stderr
    assert said == f"{SHOWN}\\nd.png: no such file\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", f"--{HOSTILE}"),
        (HOSTILE,),
        ("bench", HOSTILE),
        ("check", "--width", "8", f"--set={HOSTILE}", "s.yaml"),
        ("check", f"--wid{HOSTILE}=1"),
    ],
)
def test_typer_s_own_messages_command_no_terminal(arguments):
    ended = smd(*arguments)
    assert ended.exit_code == 2
    assert r"\x9b2J\u202eb" in ended.stderr
    assert_harmless(ended.stderr)


def assert_harmless(text: str) -> None:
    assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char != "\n"]


def test_whoever_prints_commands_no_terminal(terminal, monkeypatch):
    def warn() -> None:
        logging.getLogger("another.library").warning(BARE)
        sys.stderr.writelines([BARE, "\n"])
        raise ValueError(BARE)

    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    with redirect_stderr(terminal[1]), visible_streams():
        with pytest.raises(ValueError, match="a") as caught:
            warn()
        sys.excepthook(caught.type, caught.value, caught.tb)
    said = said_on(terminal).replace("\r\n", "\n")
    assert said.count(SHOWN.replace(r"\t", "")) == 3
    assert_harmless(said)


def test_what_rich_draws_is_literal_and_harmless(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = f"[red]{BARE}[/red][link=https://x.y]z[/link] :smile:"
    table = Table(text, box=None)
    table.add_row(text, Text("[b]"))
    with redirect_stderr(terminal[1]):
        console = rich_console()
        console.width = 400
        console.print(text, table)
    said = re.sub(r"\x1b\[[0-9;]*m", "", said_on(terminal))  # Rich's own colours
    assert said.count(f"[red]{BARE_SHOWN}[/red][link=https://x.y]z[/link] :smile:") == 3
    assert "[b]" in said
    assert_harmless(said.replace("\r\n", "\n"))


def test_a_layout_is_harmless_on_a_terminal_and_off_it(terminal, capsys):
    print_layout(Text(f"[b]{BARE}[/b]"))
    assert capsys.readouterr().out == f"[b]{BARE_SHOWN}[/b]\n"
    with redirect_stdout(terminal[1]):
        print_layout(Text(BARE, style="bold"))
    assert BARE_SHOWN in said_on(terminal)


def test_beside_bars_messages_are_coloured_and_harmless_and_results_stay_on_stdout(
    terminal, monkeypatch, capsys
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    begin_document()
    with redirect_stderr(terminal[1]), visible_streams(), show_progress(MessagePrinter()) as listener:
        listener(Noted(HOSTILE))
        print(BARE, file=sys.stderr)
        print_result(HOSTILE)
    said = said_on(terminal)
    assert f"\x1b[36mnote\x1b[0m: {SHOWN}\r\n" in said
    assert f"\x1b[2K{BARE_SHOWN}\r\n" in said
    assert "\x9b" not in said
    assert capsys.readouterr().out == f"{SHOWN}\n"


def recipe_of(prompt: str) -> Recipe:
    scene = {
        "smd": 1,
        "canvas": {"width": 64, "height": 64},
        "seed": 1,
        "task": "generate",
        "model": {"base": "flatland"},
        "sampler": {"kind": "lcm", "indices": [0], "guidance_scale": 1.0},
        "background": {"prompt": prompt, "negative_prompt": ""},
        "regions": [{"name": prompt, "prompt": prompt, "negative_prompt": "", "mask": {"box": [0, 0, 1, 1]}}],
    }
    return Recipe(scene, "sd15", "", {"model.base": "0" * 64}, {"smd-cli": "0"})


def test_a_recipe_is_shown_harmless_and_its_scene_is_the_one_it_holds(tmp_path):
    prompt = f"{HOSTILE} \x7f\x85\u2028\u2029 \ufeff[red] {FAMILY} x\u200d # no: 'comment' " + "long " * 40
    (tmp_path / "a.png").write_bytes(
        encode_png(Image.new("RGB", (8, 8)), {"smd": recipe_of(prompt).to_json(), "parameters": ""})
    )
    shown = smd("inspect", str(tmp_path / "a.png"))
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"{SHOWN.replace(chr(92) + 't', ' ')}")
    scene = smd("inspect", str(tmp_path / "a.png"), "--scene")
    exact = smd("inspect", str(tmp_path / "a.png"), "--json")
    for ended in (shown, scene, exact):
        assert_harmless(ended.stdout.replace(FAMILY, ""))
    assert yaml.safe_load(scene.stdout) == {**recipe_of(prompt).scene, "digests": {"model.base": "0" * 64}}
    assert json.loads(exact.stdout)["scene"]["background"]["prompt"] == prompt


def test_yaml_of_any_character_is_visible_and_reads_back_the_same():
    halves = range(0xD800, 0xE000)
    for start in (*range(0, 0x30000, 997), *range(0x30000, sys.maxunicode, 15 * 997)):
        text = "".join(
            chr(number) for number in range(start, min(start + 997, 0x110000)) if number not in halves
        )
        data = {"a": text, "b": [f"{text[:9]}\n{text[-9:]}", text[7:8]], text[:5]: 1}
        written = dump(data)
        assert yaml.safe_load(io.StringIO(written)) == data


PRINTS = re.compile(
    r"(?<![.\w])print\(|\btyper\.s?echo|\bsys\.(?:__)?std(?:out|err)|(?<!Visible)Console\b[(,)]"
)
PRINTERS = {
    "cli/console.py": {"print(", "sys.stdout", "sys.stderr", "Console,"},
    "cli/streams.py": {"sys.stdout", "sys.stderr"},
    "bench/diffusers_script.py": {"print("},  # a program of its own, as a user would write it
    "cli/progress.py": {"sys.stdout"},  # asks whether it is a terminal
    "standard_streams.py": {"sys.stdout", "sys.stderr"},
    "media/sinks.py": {"sys.stdout"},  # raw frames
    "cli/rich_console.py": {"Console,", "Console)"},
    "cli/plan_report.py": {"Console,"},  # a type, as in console.py
}


def test_nothing_is_printed_past_the_console():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        code = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        if not name.startswith("workshop/") and (used := set(PRINTS.findall(code))):  # wheels leave that out
            found[name] = used
    assert found == PRINTERS
