"""Pictures whose recipes were written by somebody else."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.hostile.rules import attacks, judge, run
from tests.media.recipes import small_recipe

RECIPE = json.loads(small_recipe({"prompt": "a field", "negative_prompt": ""}).to_json())
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**18), 2**63, 0]),
    st.floats(),
    st.text(),
    st.sampled_from(["\x1b[31m", "\x9b2J", "\u202e", "\ud800", "a\r\nb", "../../x", "a" * 100_000]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)


def places(value: Any) -> list[tuple[str | int, ...]]:
    """The places of all values in nested data."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *place) for key, item in below for place in places(item))]


@st.composite
def damaged(draw: st.DrawFn, sound: Any) -> Any:
    """A copy of nested data, some of whose values are replaced or left out."""
    data = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([place for place in places(data) if place]))
        holder = data
        for key in place[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[place[-1]]
        else:
            holder[place[-1]] = draw(VALUES)
    return data


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """A recipe with some values replaced or left out, or no JSON at all."""
    text = json.dumps(draw(damaged(RECIPE)))
    cut = draw(st.integers(0, len(text)))
    return draw(st.sampled_from([text, text, text, text[:cut], "[" * 100_000, text * 2]))


def carry(text: str) -> None:
    """Write a picture that carries a text as its recipe."""
    texts = PngInfo()
    texts.add_itxt("smd", text)
    Image.new("RGB", (64, 128)).save("p.png", pnginfo=texts)


@given(recipes())
@attacks(100)
def test_recipes_of_any_content_are_data(text):
    carry(text)
    for arguments in (["inspect"], ["inspect", "--json"], ["inspect", "--scene"], ["check"]):
        judge(f"recipe: {' '.join(arguments)}", run(*arguments, "p.png"), {0, 3, 4})
    assert {path.name for path in Path().iterdir()} == {"p.png"}
