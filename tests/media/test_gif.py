"""GIF: still parts stay still, the palette lasts while it serves and gives way when it does not."""

from pathlib import Path

from PIL import Image, ImageDraw

from tests.media.frames import SIZE, error, moving, read, scenery, write


def local_palettes(path: Path) -> list[int]:
    """The numbers of the frames that carry a palette of their own, by the letter of the format."""
    data = path.read_bytes()
    place, number, found = 13 + 3 * 256, 0, []
    while data[place] != 0x3B:
        if data[place] == 0x21:
            place += 2
        else:
            flags = data[place + 9]
            if flags & 0x80:
                found.append(number)
            place += 10 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0) + 1
            number += 1
        while data[place]:
            place += data[place] + 1
        place += 1
    assert place == len(data) - 1
    return found


def test_what_is_still_does_not_flicker(tmp_path: Path) -> None:
    found = read(write(tmp_path / "x.gif", list(moving(40))))
    lower = {frame.crop((0, 21, *SIZE)).tobytes() for frame in found}
    assert len(lower) == 1
    assert len({frame.tobytes() for frame in found}) > 30


def test_nearly_still_pixels_do_not_flicker_either_and_do_not_wander(tmp_path: Path) -> None:
    still = scenery()
    near = [still.point([min(255, level + number % 3) for level in range(256)] * 3) for number in range(9)]
    assert len({frame.tobytes() for frame in read(write(tmp_path / "x.gif", near))}) == 1
    slow = [Image.new("RGB", SIZE, (100 + number,) * 3) for number in range(60)]
    for number, frame in enumerate(slow):
        frame.putpixel((0, 0), (number % 2 * 255,) * 3)
    found = read(write(tmp_path / "x.gif", slow))
    assert max(map(error, found, slow)) <= 8


def test_still_parts_outlast_a_new_palette(tmp_path: Path) -> None:
    frames = [scenery().convert("L").convert("RGB")]
    for number in range(1, 6):
        frame = frames[0].copy()
        frame.paste(scenery().resize((48, 64)), (0, 0))
        ImageDraw.Draw(frame).point((number, number), (255, 0, 255))
        frame.putpixel((95, number), (255, 0, 255))  # what changes lies around what is still
        frames.append(frame)
    path = write(tmp_path / "x.gif", frames)
    assert local_palettes(path) == [1, 2, 3, 4, 5]
    found = read(path)
    assert len({frame.crop((48, 8, *SIZE)).tobytes() for frame in found}) == 1
    assert error(found[1], frames[1]) < 6


def test_one_palette_serves_while_the_colours_stay(tmp_path: Path) -> None:
    assert local_palettes(write(tmp_path / "x.gif", list(moving(10)))) == []
    turned = [scenery().rotate(180 * (number % 2)) for number in range(6)]
    assert local_palettes(write(tmp_path / "x.gif", turned)) == []


def test_a_new_palette_that_serves_no_better_is_not_taken(tmp_path: Path) -> None:
    """Where only noise changes, it is the noise that 255 colours do not suffice for, not these 255."""
    frames = []
    for number in range(6):
        frame = Image.new("RGB", SIZE, (90, 120, 150))
        noise = [Image.effect_noise((40, 40), 120).rotate(number) for _ in range(3)]
        frame.paste(Image.merge("RGB", noise), (10, 10))
        frames.append(frame)
    assert local_palettes(write(tmp_path / "x.gif", frames)) == []


def test_few_colours_are_kept_as_they_are(tmp_path: Path) -> None:
    frames = []
    for number in range(4):
        frame = Image.new("RGB", SIZE, (12, 200, 77))
        ImageDraw.Draw(frame).rectangle((number, 4, number + 9, 20), fill=(240, 10, 130))
        frames.append(frame)
    found = read(write(tmp_path / "x.gif", frames))
    assert [frame.tobytes() for frame in found] == [frame.tobytes() for frame in frames]


def test_gradients_are_dithered(tmp_path: Path) -> None:
    """Seen from afar the colours are right: the mean over 8x8 px is nearer than steps of colour would be."""
    wide = scenery((256, 256))
    (found,) = read(write(tmp_path / "x.gif", [wide]))
    steps = wide.quantize(255).convert("RGB")
    assert error(found.reduce(8), wide.reduce(8)) < error(steps.reduce(8), wide.reduce(8))
