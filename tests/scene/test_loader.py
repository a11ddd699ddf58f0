"""Scene files: good ones, and every mistake told at its place, all of a file at once."""

import io
import os
import re
import sys
from pathlib import Path

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene.loader import MAX_BYTES, load, load_text

GOOD = """\
smd: 1
canvas: {width: 384, height: 256}
background: {prompt: times square}
regions:
  - {name: boy, prompt: a boy, mask: boy.png}
  - {name: girl, prompt: a girl, mask: {ellipse: [0.75, 0.55, 0.2, 0.4]}}
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SceneError) as caught:
        load_text(text, "s.yaml")
    assert caught.value.exit_code == 3
    return caught.value.problems


def with_line(line: str) -> str:
    return GOOD + line + "\n"


def test_a_good_scene_is_loaded() -> None:
    loaded = load_text(GOOD, "s.yaml")
    assert [region.name for region in loaded.scene.regions] == ["boy", "girl"]
    assert loaded.scene.bootstrap.steps == 2
    assert str(loaded.locate("regions", 1, "mask")) == "s.yaml:6:40: regions[1].mask"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("sead: 3", "s.yaml:7:1: sead: unknown key; did you mean seed?"),
        ("seed: -1", f"s.yaml:7:7: seed: -1 is not between 0 and {2**63 - 1}"),
        (
            "seed: true",
            "s.yaml:7:7: seed: true is no seed: give a number, several such as 1-4,9, or random",
        ),
        ("masks: {std: true}", "s.yaml:7:14: masks.std: true is not a number"),
        ("stream: {buffer: 1.5}", "s.yaml:7:18: stream.buffer: 1.5 is not a whole number"),
        ("stream: {buffer: '5'}", "s.yaml:7:18: stream.buffer: '5' is not a whole number"),
        ("stream: {buffer: [1]}", "s.yaml:7:18: stream.buffer: a list is not a whole number"),
        ("stream: {buffer: 0}", "s.yaml:7:18: stream.buffer: 0 is below 1"),
        ("seed:", "s.yaml:7:6: seed: has no value (a # begins a comment, unless it is in quotes)"),
        ("negative_prefix: 5", "s.yaml:7:18: negative_prefix: 5 is not text; put it in quotes"),
        ('negative_prefix: "a\\0"', "s.yaml:7:18: negative_prefix: holds control characters"),
        (
            "negative_prefix: {a: b}",
            "s.yaml:7:18: negative_prefix: should be text, not a mapping; a text that begins with { needs "
            "quotes",
        ),
        ("masks: {strength: .nan}", "s.yaml:7:19: masks.strength: nan is not a finite number"),
        ("masks: {strength: .inf}", "s.yaml:7:19: masks.strength: inf is not a finite number"),
        ("masks: {strength: 1.4}", "s.yaml:7:19: masks.strength: 1.4 is above 1"),
        ("masks: {strength: high}", "s.yaml:7:19: masks.strength: 'high' is not a number"),
        ("masks: soft", "s.yaml:7:8: masks: should be a mapping (key: value), not 'soft'"),
        (
            "masks: {type: discret}",
            "s.yaml:7:15: masks.type: 'discret' is not one of discrete, semi-continuous, continuous; "
            "did you mean discrete?",
        ),
        ("masks: {sdt: 4}", "s.yaml:7:9: masks.sdt: unknown key; did you mean std?"),
        (
            "sampler: {indices: [0, 4, 4]}",
            "s.yaml:7:27: sampler.indices[2]: 4 does not rise above 4, which precedes it",
        ),
        (
            "sampler: {indices: [0, 50]}",
            "s.yaml:7:24: sampler.indices[1]: 50 is outside the grid of 50 steps",
        ),
        (
            "sampler: {steps: 51}",
            "s.yaml:7:18: sampler.steps: 51 is above 50, the grid that lcm models are distilled on",
        ),
        ("sampler: {kind: ddim, steps: 1000}", "s.yaml:7:30: sampler.steps: 1000 is above 999"),
        (
            "sampler: {kind: ddim, indices: [0, 4]}",
            "s.yaml:7:32: sampler.indices: ddim takes every step of its grid: leave indices out and set "
            "steps",
        ),
        ("sampler: {indices: []}", "s.yaml:7:20: sampler.indices: has 0 items; at least 1 belong here"),
        ("sampler: {indices: 4}", "s.yaml:7:20: sampler.indices: should be a list, not 4"),
        (
            "sampler: {tile: 100}",
            "s.yaml:7:17: sampler.tile: 100 is not a multiple of 8; the nearest is 96 or 104",
        ),
        ("bootstrap: {steps: 6}", "s.yaml:7:20: bootstrap.steps: 6 is more than the sampler's 5 steps"),
        (
            "bootstrap: {show_through: true, leak_sensitivity: 0}",
            "s.yaml:7:27: bootstrap.show_through: nothing shows through where leak_sensitivity is 0",
        ),
        ("model: {base: x, loras: [{weight: 1}]}", "s.yaml:7:26: model.loras[0]: path is missing"),
        (
            "model: {textual_inversions: [{path: a, token: <a>}, {path: b, token: <a>}]}",
            "s.yaml:7:70: model.textual_inversions[1].token: '<a>' is already the word of "
            "textual_inversions[0]",
        ),
        (
            "model: {textual_inversions: [{path: a, token: ' a'}]}",
            "s.yaml:7:47: model.textual_inversions[0].token: ' a' is no word: leave out spaces at its ends, "
            "and backslashes",
        ),
        (
            "model: {textual_inversions: [{path: a, token: ''}]}",
            "s.yaml:7:47: model.textual_inversions[0].token: '' is no word: leave out spaces at its ends, "
            "and backslashes",
        ),
        (
            "'<<': {seed: 3}",
            "s.yaml:7:1: '<<': unknown key; known here: smd, task, canvas, seed, model, sampler, "
            "bootstrap, masks, negative_prefix, background, regions, stream, matrix, digests",
        ),
        ("model: {bsae: x}", "s.yaml:7:9: model.bsae: unknown key; did you mean base?"),
        (
            "stream: {timeline: [{at: 5, region: grl, prompt: x}]}",
            "s.yaml:7:37: stream.timeline[0].region: no region is named 'grl'; did you mean girl?",
        ),
    ],
)
def test_a_mistake_is_told_at_its_place(line: str, problem: str) -> None:
    assert problems(with_line(line)) == (problem,)


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        ("name: x, prompt: y", "s.yaml:7:5: regions[2]: mask is missing (where the region lies)"),
        ("name: x, mask: rest", "s.yaml:7:5: regions[2]: prompt is missing"),
        ("name: x, prompt: '  ', mask: rest", "s.yaml:7:23: regions[2].prompt: '  ' is blank"),
        (
            "name: boy, prompt: y, mask: rest",
            "s.yaml:7:12: regions[2].name: 'boy' is already the name of regions[0]",
        ),
        (
            "name: '7', prompt: y, mask: rest",
            "s.yaml:7:12: regions[2].name: '7' is no name: begin with a letter, and leave out [ ] and =",
        ),
        (
            "name: x, prompt: y, mask: {elipse: [1, 1, 1, 1]}",
            "s.yaml:7:32: regions[2].mask: a mask is a path, the word rest, or a mapping with image, box, "
            "ellipse or polygon; did you mean ellipse?",
        ),
        ("name: x, prompt: y, mask: ''", "s.yaml:7:32: regions[2].mask.image: is empty"),
        (
            "name: x, prompt: y, mask: {box: [0, 0, 1]}",
            "s.yaml:7:38: regions[2].mask.box: has 3 items; at least 4",
        ),
        (
            "name: x, prompt: y, mask: {box: [0, 0, 1, 2]}",
            "s.yaml:7:48: regions[2].mask.box[3]: 2 is above 1",
        ),
        (
            "name: x, prompt: y, mask: {box: [0, a, 1, 1]}",
            "s.yaml:7:42: regions[2].mask.box[1]: 'a' is not a number",
        ),
        (
            "name: x, prompt: y, mask: {box: [1, 0, 0, 1]}",
            "s.yaml:7:38: regions[2].mask.box: a box is [x0, y0, x1, y1]",
        ),
        (
            "name: x, prompt: y, mask: {ellipse: [0, 0, 0, 1]}",
            "s.yaml:7:42: regions[2].mask.ellipse: an ellipse is",
        ),
        (
            "name: x, prompt: y, mask: {image: a.png, color: red}",
            "s.yaml:7:54: regions[2].mask.color: 'red' is no colour",
        ),
        (
            "name: x, prompt: y, mask: {box: [0, 0, 1, 1], invert: true}",
            "s.yaml:7:52: regions[2].mask.invert: unknown key; known here: box",
        ),
    ],
)
def test_a_region_s_mistake_is_told_at_its_place(region: str, problem: str) -> None:
    (told,) = problems(with_line(f"  - {{{region}}}"))
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("canvas", "problem"),
    [
        ("width: 300, height: 256", "canvas.width: 300 is not a multiple of 8; the nearest is 296 or 304"),
        ("width: 257, height: 256", "canvas.width: 257 is not a multiple of 8; the nearest is 256"),
        ("width: 0, height: 256", "canvas.width: 0 is below 64"),
        ("width: -8, height: 256", "canvas.width: -8 is below 64"),
        ("width: 1000000, height: 256", "canvas.width: 1000000 is above 16384"),
        (
            "width: 16384, height: 16384",
            "canvas: 16384 x 16384 is 268,435,456 pixels; at most 67,108,864 are possible",
        ),
        ("width: 384", "canvas: height is missing"),
    ],
)
def test_an_impossible_canvas(canvas: str, problem: str) -> None:
    (told,) = problems(GOOD.replace("width: 384, height: 256", canvas))
    assert told.split(": ", 1)[1] == problem


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order() -> None:
    text = (
        GOOD.replace("384", "385").replace("a boy", "").replace("prompt: a girl", "promt: a girl")
        + "seed: x\n"
    )
    assert [line.split(":")[1] for line in problems(text)] == ["2", "5", "6", "7"]


_FULL = """\
smd: 1
task: stream
canvas: {width: 256, height: 256}
model: {base: x, loras: [{path: a}], textual_inversions: [{path: b, token: c}]}
sampler: {kind: ddim, steps: 4, guidance: full, guidance_scale: 3}
bootstrap: {steps: 1, mix_steps: 1, leak_sensitivity: 0.2, show_through: true}
masks: {type: discrete, std: 1, strength: 1}
background: {prompt: a, negative_prompt: b, image: c, place: [0, 0]}
regions:
  - {name: d, prompt: e, mask: {box: [0, 0, 1, 1]}, mask_std: 1}
  - {name: f, prompt: g, mask: {image: h, channel: red, invert: true}}
stream: {input: i, fps: 5, seconds: 3, timeline: [{at: 2, region: d, prompt: j, ease: linear}]}
"""


@pytest.mark.parametrize("key", sorted(set(re.findall(r"(\w+):", _FULL))))
def test_a_misspelt_key_is_one_mistake(key: str) -> None:
    letters = f"{key[:-1]}{key[-1]}{key[-1]}"
    (problem,) = problems(re.sub(rf"\b{key}:", f"{letters}:", _FULL, count=1))
    assert "did you mean" in problem


def test_a_misspelt_key_does_not_stand_for_one_that_is_there() -> None:
    above, unknown = problems(GOOD.replace("width: 384", "width: 16385, widths: 9"))
    assert "canvas.width: 16385 is above 16384" in above
    assert "canvas.widths: unknown key" in unknown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- smd: 1\n", "a scene is a mapping"),
        ("hello", "a scene is a mapping"),
        ("smd: 2\nwhatever: 1\n", "version 2 is unknown; this program reads version 1"),
        ("smd: '1'\n", "version '1' is unknown"),
        ("smd: true\n", "version true is unknown"),
        ("smd: 1\ncanvas: {width: 64, height: 64}\n", "nothing to paint"),
        ("smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: ''}\n", "nothing to paint"),
        ("smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: ' '}\n", "nothing to paint"),
        ("smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x, image: b.png}\n", "give a region"),
        ("canvas: {width: 64, height: 64}\nbackground: {prompt: x}\n", "smd is missing"),
    ],
)
def test_what_is_no_scene(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert said in problem


def test_only_one_region_can_be_the_rest() -> None:
    lines = "  - {name: x, prompt: y, mask: rest}\n  - {name: z, prompt: y, mask: rest}"
    (problem,) = problems(with_line(lines))
    assert problem == "s.yaml:8:32: regions[3].mask: only one region can be the rest; regions[2] is"


def test_a_timeline_is_not_blamed_for_a_region_that_is_wrong_by_itself() -> None:
    text = GOOD.replace(", mask: boy.png", "") + "stream: {timeline: [{at: 5, region: boy, prompt: x}]}\n"
    (problem,) = problems(text)
    assert "regions[0]: mask is missing" in problem


def test_a_long_value_is_quoted_shortly() -> None:
    (problem,) = problems(with_line(f"seed: {'x' * 500}"))
    assert len(problem) < 130


class TestFiles:
    def told(self, path: Path) -> str:
        with pytest.raises(SceneError) as caught:
            load(path)
        (problem,) = caught.value.problems
        return problem

    def test_name_and_folder_are_the_file_s(self, tmp_path: Path) -> None:
        (tmp_path / "two.people.yaml").write_text(GOOD)
        loaded = load(tmp_path / "two.people.yaml")
        assert (loaded.name, loaded.base_dir) == ("two.people", tmp_path)

    def test_a_byte_order_mark_and_windows_lines_are_fine(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
        assert load(tmp_path / "s.yaml").scene == load_text(GOOD, "s.yaml").scene

    def test_missing(self, tmp_path: Path) -> None:
        assert self.told(tmp_path / "no.yaml").endswith("no.yaml: no such file")

    def test_directory(self, tmp_path: Path) -> None:
        assert self.told(tmp_path).endswith("is a directory, not a scene file")

    def test_a_name_that_no_file_can_have(self, tmp_path: Path) -> None:
        assert "cannot be read: File name too long" in self.told(tmp_path / ("x" * 300))

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        assert "cannot be read" in self.told(tmp_path / "a" / "s.yaml")

    def test_broken_link(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").symlink_to("gone.yaml")
        assert self.told(tmp_path / "s.yaml").endswith("is a broken link to gone.yaml")

    def test_not_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_bytes(b"smd: 1\nseed: \xff\n")
        assert self.told(tmp_path / "s.yaml").endswith("s.yaml:2:7: is not UTF-8 text (byte 0xff)")

    def test_utf_16(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_text(GOOD, encoding="utf-16")
        assert self.told(tmp_path / "s.yaml").endswith("s.yaml: is UTF-16 text; save it as UTF-8")

    def test_a_picture(self, tmp_path: Path) -> None:
        (tmp_path / "s.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        assert self.told(tmp_path / "s.png").endswith(
            "s.png: is a picture; `smd inspect --scene` prints the scene of one"
        )

    def test_too_large(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
        assert "larger than 1 MiB" in self.told(tmp_path / "s.yaml")

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs an endless file")
    def test_endless(self) -> None:
        assert "is a device, not a regular file" in self.told(Path("/dev/zero"))

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
    def test_forbidden(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_text(GOOD)
        (tmp_path / "s.yaml").chmod(0)
        assert "cannot be read: Permission denied" in self.told(tmp_path / "s.yaml")

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
        loaded = load("-")
        assert (loaded.name, loaded.base_dir) == ("scene", Path.cwd())
