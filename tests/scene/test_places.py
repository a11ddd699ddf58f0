"""Where problems are said to be, in texts of any script: the oracle is where the text was given them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.errors import SceneError
from smd_cli.scene.loader import load, load_text

CONTROLS = [*range(9), 11, 12, *range(14, 32), *range(127, 133), *range(134, 160), 0xFFFE, 0xFFFF]
TEXTS = st.text(
    st.sampled_from("ab \t\xe9\u732be\u0301\u0e01\u0e33\U0001f468\u200d\u202e\ufeff\xa0"), max_size=12
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.lists(st.tuples(TEXTS, ENDS), min_size=1, max_size=5)


def written(lines) -> str:
    return "".join(f"#{text}{end}" for text, end in lines)


def problem(text: str | bytes, tmp_path_factory) -> str:
    path = tmp_path_factory.getbasetemp() / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SceneError) as caught:
        load(path)
    (said,) = caught.value.problems
    return said.removeprefix(str(path))


@given(LINES, TEXTS, TEXTS, st.sampled_from(CONTROLS), st.sampled_from(["utf-8", "utf-8-sig"]))
def test_a_control_character_is_where_it_is(tmp_path_factory, lines, before, behind, control, encoding):
    text = f"{written(lines)}#{before}{chr(control)}{behind}\nsmd: 1\n"
    place = f":{len(lines) + 1}:{len(before) + 2}: "
    assert problem(text.encode(encoding), tmp_path_factory) == f"{place}YAML syntax: a control character"


def test_a_control_character_is_found_at_every_position(tmp_path_factory):
    text = 'smd: 1 # \xe9\u732b\nbackground: {prompt: "\U0001f468 e\u0301"}\r\n# \u0e01\u0e33\r'
    for index in range(len(text)):
        before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
        place = f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "
        if text[index - 1 : index + 1] != "\r\n":
            said = problem(f"{text[:index]}\x07{text[index:]}", tmp_path_factory)
            assert said == f"{place}YAML syntax: a control character"


@given(LINES, TEXTS, st.sampled_from([b"\xff", b"\xe9 ", b"\xc3", b"\xed\xa0\x80"]), st.booleans())
def test_a_byte_that_is_not_utf_8_is_where_it_is(tmp_path_factory, lines, before, wrong, marked):
    raw = b"\xef\xbb\xbf" * marked + f"{written(lines)}#{before}".encode() + wrong
    place = f":{len(lines) + 1}:{len(before) + 2}: "
    assert problem(raw, tmp_path_factory) == f"{place}is not UTF-8 text (byte 0x{wrong[0]:02x})"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(tmp_path_factory, encoding):
    said = problem("smd: 1".encode(encoding), tmp_path_factory)
    column = {"utf-16-le": 2, "utf-16-be": 1}.get(encoding)
    marked = ": is UTF-16 text; save it as UTF-8"
    assert said == (f":1:{column}: YAML syntax: a control character" if column else marked)


@given(LINES, TEXTS)
def test_a_key_behind_any_text_is_where_it_is(lines, text):
    start = f'background: {{prompt: "a{text}b", '
    scene = f"{written(lines)}smd: 1\ncanvas: {{width: 64, height: 64}}\n{start}promt: x}}"
    with pytest.raises(SceneError) as caught:
        load_text(scene, "s")
    (said,) = caught.value.problems
    assert said.startswith(f"s:{len(lines) + 3}:{len(start) + 1}: background.promt: unknown key")


@pytest.mark.parametrize("character", "\x85\u2028\u2029")
@pytest.mark.parametrize("wrong", ["wrong: 1", "smd: 1", "a: *b", "a: {b: c", "a: @"])
def test_lines_are_those_of_editors(character, wrong):
    """YAML ends lines at these characters too, editors do not."""
    text = f"smd: 1\n# one{character}# still one{character}"
    with pytest.raises(SceneError) as caught:
        load_text(f"{text}\n{wrong}\n", "s")
    assert {problem.place.line for problem in caught.value.problems} - {1} == {3}  # 1: what is missing
    with pytest.raises(SceneError) as caught:
        load_text(f"{text}{wrong}\n", "s")
    places = {(problem.place.line, problem.place.column) for problem in caught.value.problems}
    column = len(text) - len("smd: 1\n") + 1
    assert places - {(1, 1)} <= {(2, column + offset) for offset in range(len(wrong) + 1)}


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"\ud83d\ude00", r"\U00110000"])
def test_half_of_a_character_is_refused_where_it_is(escape):
    for text in (
        f'smd: 1\nbackground: {{prompt: "\xe9 {escape}"}}',
        f'smd: 1\nbackground:\n  prompt: "{escape}"',
    ):
        with pytest.raises(SceneError, match="half of a character") as caught:
            load_text(text, "s")
        (said,) = caught.value.problems
        lines = text[: text.index("\\")].split("\n")
        assert said.place.line == len(lines)
        assert len(lines[-1]) < said.place.column <= len(lines[-1]) + 3


def test_a_text_of_python_s_with_half_a_character_is_refused_where_it_is():
    with pytest.raises(SceneError, match=r"^s:2:5: half of a character"):
        load_text("smd: 1\na: \xe9\ud800\n", "s")
