"""Nasty words wherever a text can stand: in scenes, names of files, options and recipes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smd_cli.media.png import encode_png
from smd_cli.scene.yaml_types import dump
from tests.hostile.rules import attacks, judge, run

NASTY = [
    *("\x1b[31m", "\x1b]8;;http://x.y\x07", "\x9b2J", "\r", "\b\b\b", "\x00", "\x7f", "\x85", "\t", "\n"),
    *("\u2028", "\u202e", "\u2066", "\u200e", "\u200b", "\ufeff", "\u00ad", "\U000e0041", "\ue000", "\ufffe"),
    *(
        "\ud800",
        "\udce9",
        "\U0001f468\u200d\U0001f469",
        "e\u0301",
        "\u732b",
        "\xa0",
        "\u3000",
        "\u0645\u200c",
    ),
    *("[red]", "[link=x]", ":smile:", "%s", "{seed}", "{x!r}", "$HOME", "~", "../", "./a", "a/b", "hf://"),
    *("#", ": ", "- ", "&a ", "*a", "!!python/name:os", "<<", "|", "'", '"', "\\", "\\x1b", "null", "1e999"),
    *(
        "(a:1.5)",
        "<lora:x:1>",
        "BREAK",
        "a" * 300,
        "é" * 130,
        "A",
        "z",
        " ",
        "-",
        "@v2",
        "\u3164",
        "\u0645\u200c",
    ),
]
WORDS = st.lists(st.sampled_from(NASTY), min_size=1, max_size=4).map("".join) | st.text(max_size=8)
WRITERS = [json.dumps, dump, lambda data: yaml.safe_dump(data, allow_unicode=True), lambda data: repr(data)]
REGION = {"name": "boy", "prompt": "a boy", "negative_prompt": "b", "mask": {"box": [0, 0, 1, 0.5]}}
SCENE: dict[str, Any] = {
    "smd": 1,
    "task": "generate",
    "canvas": {"width": 64, "height": 64},
    "seed": 1,
    "model": {"base": "flatland"},
    "sampler": {"kind": "lcm", "indices": [0, 25], "guidance_scale": 1.0},
    "masks": {"type": "discrete"},
    "negative_prefix": "worst",
    "background": {"prompt": "a field", "negative_prompt": "c"},
    "regions": [REGION],
}
SPOTS: list[tuple[Any, ...]] = [
    *(
        ("task",),
        ("seed",),
        ("smd",),
        ("canvas",),
        ("negative_prefix",),
        ("model",),
        ("stream",),
        ("digests",),
    ),
    *(("bootstrap",), ("regions",), ("regions", 0), ("canvas", "width"), ("masks", "type")),
    *(("model", key) for key in ("base", "vae", "family", "lcm_lora", "loras", "textual_inversions")),
    *(("sampler", key) for key in ("kind", "guidance")),
    *(("background", key) for key in ("prompt", "negative_prompt", "image", "fit")),
    *(("regions", 0, key) for key in ("name", "prompt", "negative_prompt", "mask")),
]
SHAPES = [
    lambda word: word,
    lambda word: {word: word},
    lambda word: [word],
    lambda word: [{"path": word, "token": word}],
    lambda word: {"image": word, "color": word},
    lambda word: {"input": word, "frames": 2},
    lambda word: {"frames": 2, "timeline": [{"at": 1, "region": word, "prompt": word}]},
]
CHANGES = st.lists(
    st.tuples(st.sampled_from(SPOTS), st.sampled_from([*SHAPES[:1] * 4, *SHAPES]), WORDS),
    min_size=1,
    max_size=3,
)


def changed(changes: list[tuple[tuple[Any, ...], Any, str]]) -> dict[str, Any]:
    """Return the scene with words in its places."""
    data = json.loads(json.dumps(SCENE))
    for spot, shape, word in changes:
        node = data
        try:
            for key in spot[:-1]:
                node = node[key]
            node[spot[-1]] = shape(word)
        except (TypeError, KeyError, IndexError):  # what is above it is a word by now
            data[word[:20]] = shape(word)
    return data


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@attacks(80)
@given(CHANGES, st.sampled_from(WRITERS), st.sampled_from(["check", "check", "check", "plan"]), st.booleans())
def test_words_in_scenes(changes, write, command, as_json):
    try:
        raw = write(changed(changes)).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, UnicodeError):
        return
    Path("s.yaml").write_bytes(raw)
    ended = run(command, "s.yaml", *["--json"] * as_json)
    judge("words in scenes", ended)
    if as_json:
        json.loads(ended.stdout)


FILES = WORDS.filter(lambda word: not any(char in word for char in "\x00/\ud800") and word.strip("."))


@attacks(50)
@given(
    FILES,
    st.sampled_from(
        [
            ["check", "{}.yaml"],
            ["plan", "{}.yaml"],
            ["generate", "{}.yaml", "--dry-run"],
            ["generate", "s.yaml", "--dry-run", "-o", "{}.png"],
            ["generate", "s.yaml", "--dry-run", "--output-dir", "new/{}"],
            ["generate", "s.yaml", "--dry-run", "--name", "{}.png"],
            ["stream", "s.yaml", "--frames", "2", "--dry-run", "-o", "{}/"],
            ["stream", "s.yaml", "--frames", "2", "--dry-run", "--input", "{}"],
            ["inspect", "{}.yaml"],
            ["inspect", "{}"],
            ["new", "{}"],
            ["check", "s.yaml", "--preview", "{}.png"],
            ["schema", "-o", "{}"],
        ]
    ),
)
def test_words_as_names_of_files(word, line):
    Path("s.yaml").write_text(json.dumps(SCENE))
    with suppress(OSError, UnicodeError):  # a name that no file can have is one more case
        Path(f"{word}.yaml").write_text(json.dumps(SCENE))
    judge("words as names of files", run(*(part.replace("{}", word) for part in line)))


OPTIONS = [
    "--set",
    "--width",
    "-W",
    "--model",
    "--seed",
    "--name",
    "--device",
    "--dtype",
    "--batch",
    "-o",
    "--frames",
]


@attacks(80)
@given(
    st.lists(st.tuples(st.sampled_from(OPTIONS), WORDS, st.booleans()), min_size=1, max_size=2),
    st.sampled_from(["generate", "check", "plan", "stream", "inspect", "bench", ""]),
    st.sampled_from(["", "background.prompt=", "regions[0].name=", "regions[", "model.base=./"]),
    st.booleans(),
)
def test_words_as_options(options, command, start, as_json):
    Path("s.yaml").write_text(json.dumps(SCENE))
    line = [command, "s.yaml"]
    for option, word, joined in options:
        value = f"{start if option == '--set' else ''}{word}"
        value = f"./{value}" if option == "--model" else value
        line += [f"{option}={value}" if joined else option, *[value] * (not joined)]
    dry = ["--dry-run"] if command in ("generate", "stream") else []
    judge("words as options", run(*(part for part in [*line, *dry, *["--json"] * as_json] if part)))


@attacks(50)
@given(CHANGES, WORDS, st.sampled_from([[], ["--scene"], ["--json"]]), st.booleans())
def test_words_in_recipes(changes, word, more, is_whole):
    recipe = {
        "recipe": 2,
        "scene": changed(changes),
        "family": word,
        "revision": word,
        "digests": {"model.base": "0" * 64, word: word},
        "versions": {"smd-cli": word},
        "pixels": word,
    }
    if not is_whole:
        recipe.pop(sorted(recipe)[len(word) % len(recipe)])
    texts = {"smd": json.dumps(recipe), "parameters": ""}
    Path("a.png").write_bytes(encode_png(Image.new("RGB", (8, 8)), texts))
    shown = run("inspect", "a.png", *more)
    judge("words in recipes", shown, {0, 4})
    if shown.code == 0 and more == ["--scene"]:
        told = yaml.load(shown.stdout, yaml.BaseLoader)
        assert told["background"]["prompt"] == str(recipe["scene"]["background"]["prompt"])
    if shown.code == 0 and more == ["--json"]:
        assert json.loads(shown.stdout)["scene"] == recipe["scene"]
    judge("words in recipes", run("check", "a.png"))


def test_every_byte_in_a_name():
    names = [os.fsdecode(bytes([byte])) for byte in range(1, 256)]
    ended = run("check", *(f"a{name}b.yaml" for name in names if name != "/"))
    judge("every byte in a name", ended, {3})
    assert ended.stderr.count("\n") == len(names) - 1
