"""Ready scenes, changed as trees of YAML and as bytes: `smd check` says what is wrong, and where."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import smd_cli
from tests.hostile.rules import attacks, judge, run

ROOT = Path(__file__).parents[2]
READY = [*sorted((ROOT / "scenes").glob("*.yaml")), Path(smd_cli.__file__).parent / "scene" / "starter.yaml"]

NUMBERS = (
    *("0", "-1", "1e308", "-1e308", "1e999", ".inf", "-.inf", ".nan", "-0.0", "1e-320", "0x7f", "0o17"),
    *(str(10**18), str(2**63), str(10**400), "9" * 5000, "1_000", "0.1.2", "01", "+1"),
)
TEXTS = (
    *(
        "",
        " ",
        "null",
        "~",
        "true",
        "yes",
        "rest",
        "no",
        "2024-01-01",
        "a" * 5000,
        "日本",
        "🙂" * 100,
        "#fff",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "C:\\x\\y.png",
        "%s%n",
        "{0}",
        "$HOME",
        "~root/x",
        "\u202eabc",
        "a\tb",
        ".",
    ),
    *(
        "file:///etc/passwd",
        "http://a.b/c.png",
        "a/" * 3000,
        "a.png\x00",
        "\x1b[31m",
        "\x7f",
        "\ud83d"[:0],
        "-",
        "?",
    ),
)
TAGS = (
    "!!python/object/apply:os.system ['true']",
    "!!python/name:os.system",
    "!include /etc/passwd",
    "!!binary aGVsbG8=",
    "!!set {a, b}",
    "!!timestamp 2024-01-01",
    "!!int abc",
    "!!float x",
    "! x",
    "!<tag:yaml.org,2002:str> 5",
)
DEEP = (
    "[" * 2000,
    "{a: " * 2000,
    "- " * 3000,
    "? " * 1000,
    "[" * 30 + "]" * 30,
    "{a: " * 30 + "1" + "}" * 30,
)
SIGNS = b":,#-[]{}\"'&*!|>%@`? \n\t"
LAUGHS = [f"x-{new}: &{new} [{', '.join(9 * [f'*{old}'])}]" for old, new in pairwise("abcdefghi")]
BOMB = "\n".join(("x-a: &a [l, l, l, l, l, l, l, l, l]", *LAUGHS, ""))
LINES = (
    BOMB,
    "x-self: &s {again: *s}\n",
    "<<: *nothing\n",
    "<<: 5\n",
    "<<: [{seed: 1}, {seed: 2}]\n",
    "x-m: &m {regions: []}\n<<: *m\n",
    "smd: 1\n",
    "? [a, b]\n: c\n",
    "? {a: b}\n: c\n",
    "null: 1\n",
    "1: 2\n",
    "%YAML 3.0\n---\n",
    "---\nsmd: 1\n",
    "...\n",
    "--- |\n",
    "\t- a\n",
    "x-\x00: 1\n",
    "x-big: [" + "1," * 30_000 + "]\n",
    "x-long: '" + "a" * 1_100_000 + "'\n",
    "regions: &r [*r]\n",
    "'': ''\n",
    "seed: &a !!str *a\n",
    "x-y: |9\n  a\n",
    'x-z: "\\ud800"\n',
    'x-w: "\\x00"\n',
)
BYTES = (
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x1b[2J",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xf0\x9f",
    b"\r",
    b"\x0c",
    b"\x80",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside the pictures that the ready scenes name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    for each in (ROOT / "scenes").iterdir():
        if each.suffix != ".yaml":
            (tmp_path / each.name).symlink_to(each)
    return tmp_path


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values below a mapping or a list."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield (*above, key)
        yield from places(item, (*above, key))


class Raw(str):
    """YAML that is written as it is."""

    __slots__ = ()


def flow(value: Any) -> str:
    """Write plain data as YAML in flow style, with `Raw` parts as they are."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(key)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _replaced(random: random.Random, old: Any) -> Any:
    """Something else for a value."""
    numbers = [Raw(number) for number in NUMBERS]
    others: list[Callable[[], Any]] = [
        lambda: random.choice(numbers),
        lambda: random.choice(TEXTS),
        lambda: Raw(random.choice(TAGS)),
        lambda: Raw(random.choice(DEEP)),
        lambda: [old],
        lambda: {"a": old},
        lambda: {str(old)[:20]: old} if not isinstance(old, (dict, list)) else list(old),
        lambda: random.choice((None, True, False, [], {}, [[]], [None])),
        lambda: old[:1] * random.choice((2, 300, 3000)) if isinstance(old, list) and old else old,
        lambda: [old] * random.choice((2, 20)),
        lambda: str(old),
    ]
    return random.choice(others)()


def mutate_tree(scene: dict[str, Any], random: random.Random) -> str:
    """Change some values of a scene, and perhaps add lines to its text."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        holder, key = _somewhere(scene, random)
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[random.choice((f"{key}s", str(key)[:-1], str(key).upper(), "x-y", "<<", "name"))] = (
                    holder[key]
                )
            case 2 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 3:
                other, there = _somewhere(scene, random)
                other[there] = json.loads(json.dumps(holder[key])) if key in _keys(holder) else None
            case _:
                holder[key] = Raw(flow(_replaced(random, holder[key])))
    text = "".join(f"{flow(key)}: {flow(value)}\n" for key, value in scene.items())
    if random.random() < 0.3:
        lines = text.splitlines(keepends=True)
        lines.insert(random.randint(0, len(lines)), random.choice(LINES))
        text = "".join(lines)
    return text


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _somewhere(scene: dict[str, Any], random: random.Random) -> tuple[Any, Any]:
    """A mapping or list of a scene, and one of its keys."""
    *above, key = random.choice([*places(scene)] or [("smd",)])
    holder: Any = scene
    for each in above:
        holder = holder[each]
    if isinstance(holder, dict):
        holder.setdefault(key, 1)
    return holder, key


def mutate_bytes(data: bytes, random: random.Random) -> bytes:
    """Flip, cut, splice and repeat bytes, or write them in another encoding, some times over."""
    for _ in range(random.choice((1, 1, 2, 5))):
        at, to = sorted(random.choices(range(len(data) + 1), k=2))
        data = _other_bytes(data, at, to, random)
    return data


def _other_bytes(data: bytes, at: int, to: int, random: random.Random) -> bytes:
    other = random.choice(READY).read_bytes()
    text, encoding = data.decode("utf-8", "replace"), random.choice(("utf-16", "utf-32", "cp1252"))
    return random.choice(
        (
            data[:at] + bytes([random.randrange(256)]) + data[at + 1 :],
            data[:at] + bytes([random.choice(SIGNS)]) + data[at:],
            data[:at] + random.choice(BYTES) + data[at:],
            data[:at] + data[to:],
            data[:at],
            data[:at] + data[at:to] * 3 + data[to:],
            data[:at] + other[len(other) // 2 :],
            data.replace(b"\n", b"\r\n"),
            text.encode(encoding, "replace"),
            data * random.choice((2, 50)) if len(data) < 100_000 else data,
        )
    )


def check_ends_well(attack: str, data: bytes) -> None:
    """Check a mutated scene: it is good, or each problem has a line of its own that says where."""
    Path("mutated.yaml").write_bytes(data)
    ended = run("check", "mutated.yaml", "--json")
    judge(attack, ended, {0, 3, 4})
    problems = json.loads(ended.stdout)["problems"]
    assert bool(problems) == (ended.code != 0)
    for problem in problems:
        assert problem["file"] == "mutated.yaml", problem
        assert problem["text"], problem
        assert "\n" not in problem["text"], problem
        assert len(problem["text"]) < 2000, problem
        assert (problem["line"] is None) == (problem["column"] is None), problem
        if problem["line"]:
            assert problem["line"] <= data.count(b"\n") + data.count(b"\r") + 2, problem


@given(st.sampled_from(READY), st.integers(0, 2**32))
@attacks(300)
def test_scenes_of_other_values(path, number):
    scene = yaml.safe_load(path.read_text())
    text = mutate_tree(scene, random.Random(number))
    check_ends_well("mutated scenes: values", text.encode("utf-8", "surrogatepass"))


@given(st.sampled_from(READY), st.integers(0, 2**32))
@attacks(300)
def test_scenes_of_other_bytes(path, number):
    check_ends_well("mutated scenes: bytes", mutate_bytes(path.read_bytes(), random.Random(number)))
