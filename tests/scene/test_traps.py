"""What YAML makes of what people write: each mistake is one line, at the place where one has to go."""

import pytest

from smd_cli.errors import SceneError
from smd_cli.scene.loader import Asked, LoadedScene, load_text
from smd_cli.scene.overrides import parse_override
from smd_cli.scene.reader import parse
from smd_cli.scene.text_lints import lint_texts

HEAD = "smd: 1\ncanvas: {width: 256, height: 128}\nbackground: {prompt: grass}\nregions:\n"
FLOW = HEAD + "  - {name: a, prompt: x, mask: rest}\n"
BLOCK = HEAD + "  - name: a\n    prompt: x\n    mask: rest\n"


def told(text: str) -> str:
    with pytest.raises(SceneError) as caught:
        load_text(text, "s")
    (problem,) = caught.value.problems
    return problem


def changed(scene: str, old: str, new: str) -> str:
    assert old in scene
    return scene.replace(old, new)


def warned(scene: LoadedScene) -> list[str]:
    return list(map(str, lint_texts(scene.tree)))


def test_the_scenes_themselves_are_good():
    assert load_text(FLOW, "s").scene == load_text(BLOCK, "s").scene


FLOW_MISTAKES = {
    "a comma in a text": (
        ("prompt: x", "prompt: grass, clear deep blue sky"),
        's:5:23: a comma ends a text inside { }; put it in quotes: prompt: "grass, clear deep blue sky"',
    ),
    "several commas": (
        ("prompt: x", "prompt: 1boy, smile, brown hair"),
        's:5:23: a comma ends a text inside { }; put it in quotes: prompt: "1boy, smile, brown hair"',
    ),
    "curly quotes": (
        ("prompt: x", "prompt: “a cat, red”"),
        "s:5:23: curly quotes quote nothing, and a comma ends a text inside { }; put it in quotes: "
        'prompt: "a cat, red"',
    ),
    "a wildcard": (
        ("prompt: x", "prompt: {a|b} cat"),
        "s:5:24: 'a|b' has no value; write key: value, and quotes around a text with { or a comma",
    ),
    "no space": (("prompt: x", "prompt:a cat"), "s:5:15: a space is missing: prompt: a cat"),
    "no colon": (
        ("name: a, prompt: x", "prompt: 'x', name a"),
        "s:5:19: 'name a' has no value; write key: value, and quotes around a text with { or a comma",
    ),
    "no comma": (("x, mask", "x mask"), "s:5:25: a comma is missing before mask:"),
    "a colon in a text": (
        ("prompt: x", "prompt: a cat: black"),
        's:5:23: a text with a colon and a space in it needs quotes: prompt: "a cat: black"',
    ),
    "a colour": (
        ("rest", "{image: p.png, color: #f92f6c}"),
        's:5:54: a # begins a comment, which hides the rest of the line; it needs quotes: "#f92f6c"',
    ),
    "a number sign": (
        ("prompt: x", "prompt: a cat #1 of 3"),
        "s:5:29: a # begins a comment, which hides the rest of the line; it needs quotes around the text",
    ),
    "an open brace": (("rest}", "{box: [0, 0, 1, 1]}"), "s:5:5: this { is not closed"),
    "an open bracket": (("rest", "{box: [0, 0, 1, 1}"), "s:5:38: this [ is not closed before a }"),
    "a brace too many": (("rest}", "rest}}"), "s:5:37: this } closes nothing"),
    "at": (("prompt: x", "prompt: @cat"), "s:5:23: a text cannot begin with @; put it in quotes"),
}


@pytest.mark.parametrize(("change", "problem"), FLOW_MISTAKES.values(), ids=FLOW_MISTAKES)
def test_inside_braces(change, problem):
    assert told(changed(FLOW, *change)) == problem
    assert told(changed(FLOW, *change) + "seed: 3\n") == problem


BLOCK_MISTAKES = {
    "a colon in a text": (
        ("prompt: x", "prompt: a cat: black"),
        's:6:13: a text with a colon and a space in it needs quotes: prompt: "a cat: black"',
    ),
    "no space": (("prompt: x", "prompt:a cat"), "s:6:5: a space is missing after prompt:"),
    "no space in the first line": (("- name: a", "- name:a"), "s:5:5: a space is missing after name:"),
    "a tab": (("    prompt", "\tprompt"), "s:6:1: a tab; lines of a scene are indented by spaces"),
    "a tab behind spaces": (
        ("    prompt", "  \tprompt"),
        "s:6:3: a tab; lines of a scene are indented by spaces",
    ),
    "a no-break space": (("  - name", "  -\u00a0name"), "s:5:4: a space of another kind"),
    "a no-break space in a key": (
        ("    prompt", "   \u00a0prompt"),
        "s:6:4: a space of another kind",
    ),
    "a key in another column": (
        ("    mask", "   mask"),
        "s:7:4: indentation: this key is in column 4, the one above it in column 5",
    ),
    "a key further in": (("    mask", "      mask"), "s:7:7: indented more than the line above, whose text"),
    "a text that goes on": (("prompt: x", "prompt: x,\n    y"), "s:7:5: no key: value; a text that goes on"),
    "an equals sign": (("prompt: x", "prompt = x"), "s:6:5: no key: value"),
    "an open quote": (("prompt: x", 'prompt: "x'), "s:6:13: this quote is never closed"),
    "an apostrophe": (("prompt: x", "prompt: 'it's'"), "s:6:17: the quotes end before this"),
    "quotes around a part": (("prompt: x", 'prompt: "big" cat'), "s:6:19: the quotes end before this"),
    "a list in a text": (
        ("prompt: x", "prompt: [red] cat"),
        "s:6:19: nothing follows a ]; a text that begins with [ needs quotes",
    ),
    "a list for a text": (
        ("prompt: x", "prompt: [red, cat]"),
        "s:6:13: regions[0].prompt: should be text, not a list; a text that begins with [ needs quotes",
    ),
    "a number": (("prompt: x", "prompt: 7"), "s:6:13: regions[0].prompt: 7 is not text; put it in quotes"),
    "an alias": (("prompt: x", "prompt: *cat"), "s:6:13: the alias *cat stands for nothing above it; &cat"),
    "emphasis": (("prompt: x", "prompt: *cat*"), "s:6:13: a text that begins with * needs quotes"),
    "an exclamation": (("prompt: x", "prompt: !cat"), "s:6:13: the tag '!cat' is not allowed"),
    "a backtick": (("prompt: x", "prompt: `cat`"), "s:6:13: a text cannot begin with `; put it in quotes"),
    "per cent": (("prompt: x", "prompt: %cat"), "s:6:13: a text cannot begin with %; put it in quotes"),
    "a dash": (("prompt: x", "prompt: - cat"), "s:6:13: a text that begins with - needs quotes"),
    "a backslash": (
        ("rest", '"masks\\girl.png"'),
        "s:7:17: a backslash in double quotes begins an escape; write folders with /, or use single quotes",
    ),
    "a backslash that is one": (
        ("rest", '"masks\\boy.png"'),
        "s:7:11: regions[0].mask.image: 'masks\\x08oy.png' holds control characters (in double quotes a",
    ),
    "yes": (
        ("rest", "{image: p.png, invert: yes}"),
        "s:7:34: regions[0].mask.invert: 'yes' is not true or false; write true",
    ),
    "a colour": (
        ("rest", "\n      image: p.png\n      color: #f92f6c\n      tolerance: 3"),
        "s:9:13: regions[0].mask.color: has no value (a # begins a comment",
    ),
    "a region without its dash": (
        ("rest\n", "rest\n    name: b\n    prompt: y\n    mask: b.png\n"),
        "s:8:5: 'name' is given twice, first at s:5:5, and so are 'prompt', 'mask'; an item of a list begins",
    ),
    "a dash in another column": (
        ("rest\n", "rest\n   - {name: b, prompt: x, mask: b.png}\n"),
        "s:8:4: indentation: this dash is in column 4, the one above it in column 3",
    ),
    "a mapping for a list": (
        ("  - name: a\n    prompt: x\n    mask: rest\n", "  name: a\n"),
        "s:5:3: regions: should be a list, not a mapping; each item begins with a dash",
    ),
}


@pytest.mark.parametrize(("change", "problem"), BLOCK_MISTAKES.values(), ids=BLOCK_MISTAKES)
def test_in_lines(change, problem):
    assert told(changed(BLOCK, *change)).startswith(problem)
    windows = (changed(BLOCK, *change) + "seed: 3\n").replace("\n", "\r\n")
    assert told(windows).startswith(problem)


SHAPES = {
    "{box: [50, 20, 120, 200]}": "mask.box: is in fractions of the canvas, 0 to 1; 50 px of 256 is 0.195",
    "{box: [0.2, 0.1, 0.9, 64]}": "mask.box: is in fractions of the canvas, 0 to 1; 64 px of 128 is 0.5",
    "{box: [10%, 20%, 50%, 9]}": "mask.box: is in fractions of the canvas, 0 to 1; 10% is 0.1",
    "{box: [0, 32px, 1, 1]}": "mask.box: is in fractions of the canvas, 0 to 1; 32 px of 128 is 0.25",
    "{ellipse: [0.5, 64, 9, 9]}": "mask.ellipse: is in fractions of the canvas, 0 to 1; 64 px of 128 is 0.5",
    "{polygon: [[0, 0], [64, 3], [1, 1]]}": "mask.polygon: is in fractions of the canvas, 0 to 1; 64 px of",
    "{box: [0, 0, 1.5, 1]}": "mask.box[2]: 1.5 is above 1",
    f"{{box: [0, {'9' * 400}, 1, 1]}}": f"mask.box[1]: {'9' * 37}… is not a number",
    "{box: [0, .inf, 1, 1]}": "mask.box[1]: inf is not a finite number",
    "{box: [0, 1e308, 1, 1]}": "mask.box[1]: 1e+308 is above 1",
}


@pytest.mark.parametrize(("mask", "problem"), SHAPES.items())
def test_a_shape_in_px_is_told_once_by_the_real_canvas(mask, problem):
    assert told(changed(BLOCK, "rest", mask)).partition(": regions[0].")[2].startswith(problem)


def test_wherever_a_shape_or_place_stands():
    shifted = changed(BLOCK, "rest", "a.png\n    shift: [20, -30]")
    assert told(shifted) == "s:8:12: regions[0].shift: is in fractions of the canvas; 20 px of 256 is 0.0781"
    keyframe = BLOCK + "stream: {timeline: [{at: 3, region: a, mask: {box: [50, 2, 90, 9]}}]}\n"
    assert "stream.timeline[0].mask.box: is in fractions" in told(keyframe)
    placed = changed(FLOW, "prompt: grass", "prompt: grass, image: b.png, place: [0.5, 0.25]")
    assert told(placed) == "s:3:50: background.place: is in px; 0.5 of 256 px is 128"
    endless = changed(FLOW, "prompt: grass", "prompt: grass, image: b.png, place: [.inf, 1e308]")
    assert told(endless) == "s:3:50: background.place: is in whole px"
    unknown = changed(BLOCK, "canvas: {width: 256, height: 128}", "canvas: {width: wide, height: 128}")
    with pytest.raises(SceneError) as caught:
        load_text(changed(unknown, "rest", "{box: [50, 20, 120, 200]}"), "s")
    assert caught.value.problems[1].endswith("is in fractions of the canvas, 0 to 1, not in px")


@pytest.mark.parametrize(
    ("prompt", "cut"),
    [
        ("a cat #1 of 3", "'#1 of 3'"),
        ("hair #f92f6c", "'#f92f6c'"),
        ("hair,\n      long #f92f6c", "'#f92f6c'"),
        ("größe #2", "'#2'"),
        ("a cat  # my favourite", None),
        ("a cat # my favourite", None),
        ("a cat  #favourite", None),
        ("a cat #", None),
        ("a cat ## two", None),
        ("'a cat' #1", None),
        ('"a cat #1"', None),
        ("a cat#1", None),
    ],
)
def test_a_comment_that_looks_like_a_part_of_the_prompt_is_warned_of(prompt, cut):
    warnings = warned(load_text(changed(BLOCK, "prompt: x", f"prompt: {prompt}"), "s"))
    said = f"{cut} is a comment and not painted; put the prompt in quotes if it belongs to it"
    assert warnings == ([f"s:6:13: regions[0].prompt: {said}"] if cut else [])


def test_comments_are_looked_for_in_every_prompt_but_in_nothing_else():
    scene = changed(BLOCK, "name: a", "name: a #name") + "negative_prefix: bad #quality\nseed: 5 #five\n"
    scene = changed(scene, "rest", "rest #mask\n    negative_prompt: y #f00000")
    assert [line.split(": ")[1] for line in warned(load_text(scene, "s"))] == [
        "regions[0].negative_prompt",
        "negative_prefix",
    ]
    overridden = load_text(
        BLOCK, "s", asked=Asked(overrides=[parse_override("background.prompt=hair #f92f6c")])
    )
    assert warned(overridden)[0].startswith("--set background.prompt=hair #f92f6c: '#f92f6c' is a comment")
    replaced = load_text(scene, "s", asked=Asked(overrides=[parse_override("negative_prefix=x")]))
    assert len(warned(replaced)) == 1


def test_what_is_kept_aside_is_looked_at_where_it_is_used():
    aside = "x-cat: &cat {prompt: a cat #1}\nregions:"
    block = aside.replace("{", "\n  ").replace("}", "")
    scene = changed(BLOCK, "regions:", block)
    assert warned(load_text(scene, "s")) == []
    used = changed(scene, "    prompt: x", "    <<: *cat")
    (warning,) = warned(load_text(used, "s"))
    assert warning.startswith("s:5:11: regions[0].prompt: '#1' is a comment")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("masks\\boy.png", "; folders are separated by /"),
        ("$HOME/boy.png", "; environment variables are not read in a scene"),
        ("${MASKS}/boy.png", "; environment variables are not read in a scene"),
        ("%HOME%/boy.png", "; environment variables are not read in a scene"),
        ("“boy.png”", "; the curly quotes are part of the name"),
        ("masks/boy 100%.png", ""),
        ("price $.png", ""),
    ],
)
def test_what_is_wrong_with_a_path_is_told_where_no_file_is(path, hint, tmp_path):
    from smd_cli.errors import AssetError
    from smd_cli.media.images import open_picture

    with pytest.raises(AssetError) as caught:
        open_picture(tmp_path / path)
    assert str(caught.value).endswith(f"{path}: no such file{hint}")


def test_curly_quotes_around_a_prompt_are_warned_of():
    assert warned(load_text(changed(BLOCK, "prompt: x", "prompt: “a cat”"), "s")) == [
        's:6:13: regions[0].prompt: the curly quotes are part of the prompt; straight ones (") are not'
    ]
    for honest in ("a “quoted” cat", "“big” cat", "'“a cat”'"):
        assert not warned(load_text(changed(BLOCK, "prompt: x", f"prompt: {honest}"), "s"))


class TestShared:
    """Keys of the author's own, and merges."""

    LOOK = "x-look: &look {prompt_strength: 0.5, mask_std: 4}\nx-any: [1, {b: c}]\n"

    def regions(self, text: str):
        scene = load_text(HEAD.replace("regions:", text + "regions:"), "s").scene
        return [(region.name, region.prompt_strength, region.mask_std) for region in scene.regions]

    def test_explicit_keys_win_and_of_several_lenders_the_first(self):
        regions = (
            "  - {<<: *look, name: a, prompt: x, mask: rest}\n"
            "  - {name: b, prompt: x, mask: b.png, mask_std: 8, <<: *look}\n"
            "  - {<<: [{mask_std: 2}, *look], name: c, prompt: x, mask: c.png}\n"
        )
        text = HEAD.replace("regions:", self.LOOK + "regions:") + regions
        scene = load_text(text, "s").scene
        found = [(region.name, region.prompt_strength, region.mask_std) for region in scene.regions]
        assert found == [("a", 0.5, 4), ("b", 0.5, 8), ("c", 0.5, 2)]

    def test_a_merged_mapping_lends_what_it_was_lent(self):
        tree = parse("a: &a {k: 1, l: 1}\nb: &b {<<: *a, k: 2}\nc: {<<: *b, m: 3}\n", "s")
        assert tree.plain()["c"] == {"m": 3, "k": 2, "l": 1}

    def test_a_merged_mistake_is_told_once_where_it_was_written(self):
        text = HEAD.replace("regions:", "x-look: &look {prompt_strength: 2}\nregions:")
        text += "  - {<<: *look, name: a, prompt: x, mask: rest}\n"
        text += "  - {<<: *look, name: b, prompt: x, mask: b.png}\n"
        assert told(text) == "s:4:33: regions[0].prompt_strength: 2 is above 1"

    def test_a_mistake_of_its_own_keeps_its_place(self):
        text = HEAD.replace("regions:", "x-look: &look {mask_std: 4}\nregions:")
        assert told(text + "  - {<<: *look, name: a, prompt: x}\n").startswith("s:6:5: regions[0]: mask is")
        typo = HEAD.replace("regions:", "x-look: &look {mask_sdt: 4}\nregions:")
        assert told(typo + "  - {<<: *look, name: a, prompt: x, mask: rest}\n") == (
            "s:4:16: regions[0].mask_sdt: unknown key; did you mean mask_std?"
        )

    @pytest.mark.parametrize(
        ("merge", "problem"),
        [
            ("<<: 5", "s:1:5: << takes a mapping, or a list of them"),
            ("<<: [5]", "s:1:6: << takes a mapping, or a list of them"),
            ("<<:", "s:1:4: << takes a mapping, or a list of them"),
            ("<<: *look", "s:1:5: the alias *look stands for nothing above it"),
            ("<<: [*look]", "s:1:6: the alias *look stands for nothing above it"),
            ("a: &a {<<: *a}", "s:1:12: the alias *a stands for nothing above it"),
            ("<<: {a: 1}\n<<: {b: 1}", "s:2:1: '<<' is given twice; it takes a list: <<: [*a, *b]"),
        ],
    )
    def test_a_wrong_merge_has_one_problem(self, merge, problem):
        with pytest.raises(SceneError) as caught:
            parse(merge + "\n", "s")
        (only,) = caught.value.problems
        assert only.startswith(problem)

    def test_in_quotes_it_is_a_word_and_below_the_top_x_is_unknown(self):
        assert parse("'<<': {a: 1}\n", "s").plain() == {"<<": {"a": 1}}
        assert told(BLOCK + "masks: {x-soft: 3}\n").startswith("s:8:9: masks.'x-soft': unknown key")

    def test_merges_that_multiply_are_refused(self):
        keys = "".join(f"k{i}: x, " for i in range(9))
        bomb = f"a0: &a0 {{{keys}}}\n"
        for i in range(1, 30):
            lent = ", ".join(f"k{j}: *a{i - 1}" for j in range(9))
            bomb += f"a{i}: &a{i} {{<<: {{{lent}}}}}\n"
        with pytest.raises(SceneError) as caught:
            parse(bomb, "s")
        assert "aliases expanded" in caught.value.problems[0]

    def test_merges_cannot_nest_deeper_than_what_is_written_out(self):
        chain = "a0: &a0 {k: x}\n" + "".join(
            f"a{i}: &a{i} {{k: *a{i - 1}, <<: *a0}}\n" for i in range(1, 200)
        )
        with pytest.raises(SceneError) as caught:
            parse(chain, "s")
        assert "levels deep" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [\n" + " #a" * 200_000 + "\n b: c: d\n", "1:4: this [ is not closed"),
        ("a: {a:" + " " * 200_000 + "x, b: c: d}\n", "a text with a colon and a space in it needs quotes"),
        ("a: {a: " + "x" * 200_000 + " c: d}\n", "a text with a colon and a space in it needs quotes"),
    ],
)
def test_a_long_line_that_is_no_yaml_is_explained_in_one_go(text, problem):
    """What looked at each rest of the line again would take hours here."""
    with pytest.raises(SceneError) as caught:
        load_text(text, "s.yaml")
    assert problem in str(caught.value)
