"""Bundles that are damaged, or made to do harm, in bulk: each ends in words, and leaves nothing behind."""

import gc
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.app.bundle.zips import FILES, SCENE, entry, packed
from tests.hostile.rules import attacks, judge, nothing_written, run

GOOD = [packed(), packed(method=zipfile.ZIP_DEFLATED), packed(None, (entry("a/", 0o40755), ""), ("a/b", "c"))]
ODD = st.text(st.sampled_from("../\\: \0\x1b\n\u202eaA\u00e9e\u0301*?|~$"), min_size=1, max_size=12)
NUMBERS = st.one_of(
    st.integers(0, 255).map(lambda byte: bytes([byte])),
    st.sampled_from([b"\0\0", b"\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"PK\x06\x07"]),
)


@pytest.fixture(autouse=True)
def temporary(folder, tmp_path_factory, monkeypatch):
    """The folder for what is temporary, which is not the one that is worked in."""
    place = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """Let the collector look at what a test makes alone: all that is imported takes it half a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good bundle with some bytes replaced, left out, doubled or moved."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        if draw(st.booleans()):  # where headers are
            at = draw(st.sampled_from([i for i in range(len(data)) if data[i : i + 2] == b"PK"] or [at]))
            at = min(len(data) - 1, at + draw(st.integers(0, 46)))
        what, value = draw(st.sampled_from(["replace", "replace", "cut", "drop", "double"])), draw(NUMBERS)
        if what == "replace":
            data[at : at + len(value)] = value
        elif what == "cut":
            del data[at + 1 :]
        elif what == "drop":
            del data[at : at + len(value)]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 100))]
    return bytes(data) or b"P"


@given(damaged())
@attacks(150)
def test_a_damaged_bundle_ends_in_words_or_is_whole(temporary, data):
    Path("b.smd.zip").write_bytes(data)
    with nothing_written(Path()):
        judge("bundle: other bytes", run("check", "b.smd.zip", "--json"), {0, 3, 4})
    _assert_nothing_left(temporary)


@given(st.lists(st.tuples(ODD, st.sampled_from([0, 0o100644, 0o120777, 0o40755, 0o020666])), max_size=3))
@attacks(50)
def test_whatever_the_names_are_nothing_lies_elsewhere(temporary, names):
    more = [(entry(name, mode), "x") for name, mode in names]
    Path("b.smd.zip").write_bytes(packed(None, *more))
    with nothing_written(Path()):
        judge("bundle: names and kinds", run("check", "b.smd.zip"), {0, 3, 4})
    _assert_nothing_left(temporary)


@given(
    st.lists(
        st.sampled_from(["..", ".", "a", "**", "*", "~", "", "m.png", "secret.png", "/"]),
        min_size=1,
        max_size=6,
    )
)
@attacks(50)
def test_no_path_in_a_scene_leads_out(temporary, steps):
    text = "/".join(steps)
    Path("secret.png").write_bytes(FILES["m.png"])
    (temporary / "secret.png").write_bytes(FILES["m.png"])
    scene = SCENE.replace("m.png", f"'{text}'") + f"task: stream\nstream: {{input: '{text}', frames: 2}}\n"
    Path("b.smd.zip").write_bytes(
        packed({"day.yaml": scene, "a/m.png": FILES["m.png"], "m.png": FILES["m.png"]})
    )
    ended = run("check", "b.smd.zip")
    judge("bundle: paths in the scene", ended, {0, 3, 4})
    assert ended.code or "secret" not in text
    (temporary / "secret.png").unlink()
    _assert_nothing_left(temporary)


def _assert_nothing_left(temporary: Path) -> None:
    if [*temporary.iterdir()]:
        gc.collect()  # an error that is kept holds what it went through
    assert [*temporary.iterdir()] == []
