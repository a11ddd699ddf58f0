import pytest
from PIL import Image, ImageChops, ImageDraw

from smd_cli.media.labels import Label, draw_labels, drawable, fitted, font_of

FONT = font_of(16)


def drawn(text: str) -> Image.Image:
    image = Image.new("L", (400, 30))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=FONT)
    return image


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat, 12%", "a cat, 12%"),
        ("caf\u00e9", r"caf\xe9"),
        ("\u65e5 1", r"\u65e5 1"),
        ("\x1b[31m", r"\x1b[31m"),
    ],
)
def test_what_the_font_lacks_is_spelled_out(text, shown):
    assert drawable(text) == shown


def test_two_texts_that_differ_are_drawn_differently():
    one, other = map(drawable, ("\u65e5", "\u6708"))
    assert ImageChops.difference(drawn(one), drawn(other)).getbbox()


@pytest.mark.parametrize("width", [20, 60, 100])
def test_a_long_text_is_cut_with_an_ellipsis(width):
    text = "a house by the lake, in the evening"
    cut = fitted(text, FONT, width)
    assert cut.endswith("…")
    assert text.startswith(cut[:-1])
    assert FONT.getlength(cut) <= width < FONT.getlength(text[: len(cut) + 1] + "…")
    assert fitted("short", FONT, 100) == "short"


def test_a_label_stays_on_a_small_picture():
    image = Image.new("RGB", (64, 64))
    draw_labels(image, [Label("a region with a long name", "red", (32, 32))], FONT)
    right = [row for row in range(64) if image.getpixel((63, row)) == (255, 0, 0)]
    assert len(right) == right[-1] - right[0] + 1 > 10  # its border has a right side
