"""Names of files: what a template can say, and that no value of a scene makes an unsafe one."""

from pathlib import Path

import pytest

from smd_cli.app.names import NamedPicture, fill_name, safe
from smd_cli.errors import UsageError
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 7
model: models/dreamy.safetensors
sampler: {guidance_scale: 1.5}
background: {prompt: x}
regions:
  - {name: boy, prompt: "../../etc/a: boy", mask: rest}
"""
DIGEST = "0123456789abcdef" * 4


def named(template: str) -> str:
    loaded = load_text(SCENE, "day.yaml", "day", Path("/scenes"))
    plan = resolve(loaded.scene, loaded.name, loaded.base_dir)
    return fill_name(template, NamedPicture(plan, 3, lambda: DIGEST, "masks.std=4", {"masks.std": "4"}))


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{scene}_{seed}.png", "day_7.png"),
        ("{task}/{index:04}.png", "generate/0003.png"),
        ("{model}_{hash:8}.png", "dreamy_01234567.png"),
        ("{hash}.png", f"{DIGEST}.png"),
        ("{sampler.guidance_scale}_{sampler.kind}.png", "1.5_lcm.png"),
        ("{sampler.guidance_scale:.2f}.png", "1.50.png"),
        ("{sampler.indices}.png", "0-4-12-25-37.png"),
        ("{regions[0].prompt}.png", "_.._etc_a_ boy.png"),
        ("{regions[boy].mask}_{regions[boy].prompt:5}.png", "rest__.png"),
        ("{background.image}_{bootstrap.show_through}.png", "none_false.png"),
        ("../{{{seed}}}.png", "../{7}.png"),
        ("{masks.std}_{point}.png", "4_masks.std=4.png"),  # which a plan keeps in its regions
    ],
)
def test_what_a_template_gives(template: str, name: str) -> None:
    assert named(template) == name


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            "{promt}.png",
            "{promt} is unknown; known: scene, task, seed, index, model, hash, point, smd, canvas, sampler",
        ),
        ("{sampler.steeps}.png", "did you mean steps? known: kind, steps, indices"),
        ("{regions[girl].prompt}.png", "known: 0, boy"),
        ("{seed.x}.png", "is unknown; known: nothing below it"),
        ("{sampler}.png", "is no single value; known below it: kind, steps"),
        ("{}.png", "is unknown; known: scene"),
        ("{seed", "cannot be read"),
        ("}.png", "cannot be read"),
        ("{seed!r}.png", "{seed!r} is unknown; a format follows a colon"),
        ("{seed:x}.png", "a number takes a width"),
        ("{scene:<90}.png", "a text takes its longest length"),
        ("", "is empty"),
    ],
)
def test_a_template_that_says_nothing_known(template: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        named(template)
    (problem,) = caught.value.problems
    assert problem.startswith(f"--name {template}: ")
    assert says in problem


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("..", "_"),
        ("", "_"),
        (".hidden.", "hidden"),
        ("a/b\\c:d", "a_b_c_d"),
        ("line\nend\ttab\x00", "line end tab_"),
        ("é" * 90, "é" * 40),
        ("a\u202egnp\x9b\u200b.exe", "a_gnp_.exe"),
        ("caf\udce9", "caf_"),  # the stem of a file whose name is not UTF-8
        ("\U0001f468\u200d\U0001f469__x", "\U0001f468\u200d\U0001f469__x"),
    ],
)
def test_values_are_safe_in_a_file_name(value: str, part: str) -> None:
    assert safe(value) == part
    assert len(safe(value).encode()) <= 80
