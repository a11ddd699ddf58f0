"""What a picture shows: transparency of every kind of file, and colours in sRGB."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw

from smd_cli.errors import AssetError
from smd_cli.media.images import OpenedPicture, open_picture
from smd_cli.media.mask_images import read_mask
from smd_cli.media.pixels import on_white, shown_pixels
from smd_cli.media.sources import open_frame_source
from smd_cli.scene.mask_specs import ImageMask
from tests.media.icc import ADOBE, SRGB, cmyk_profile, grey_profile, rgb_profile

SIZE = (64, 40)


def cut_out() -> Image.Image:
    """A disc in a picture, as a mask."""
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).ellipse((5, 5, 35, 30), fill=255)
    return mask


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(bits: int, color_type: int, rows: Sequence[bytes], *chunks: bytes, interlace: bool = False) -> bytes:
    header = struct.pack(">IIBBBBB", *SIZE, bits, color_type, 0, 0, interlace)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def packed_rows(bits: int, inside: Sequence[int], outside: Sequence[int]) -> Iterator[bytes]:
    """Rows of samples: some values in the disc, others around it."""
    mask = cut_out().load()
    assert mask
    for y in range(SIZE[1]):
        samples = [value for x in range(SIZE[0]) for value in (inside if mask[x, y] else outside)]
        row = int("".join(f"{value:0{bits}b}" for value in samples), 2)
        yield row.to_bytes(len(samples) * bits // 8)


def keyed(bits: int, inside: Sequence[int], outside: Sequence[int]) -> bytes:
    """A grey or RGB file, where the colour around the disc is the transparent one."""
    color_type = 2 if len(outside) == 3 else 0
    key = chunk(b"tRNS", struct.pack(f">{len(outside)}H", *outside))
    return png(bits, color_type, list(packed_rows(bits, inside, outside)), key)


def palette(bits: int) -> bytes:
    white, clear = chunk(b"PLTE", b"\xff" * 6), chunk(b"tRNS", b"\xff\0")
    return png(bits, 3, list(packed_rows(bits, (0,), (1,))), white, clear)


def saved(path: Path, mode: str, **options: object) -> None:
    image = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    image.paste((0, 0, 0, 255), mask=cut_out())
    image.convert(mode).save(path, **options)  # type: ignore[arg-type]


def assert_is_cut_out(picture: OpenedPicture) -> None:
    mask = read_mask(ImageMask(image="x"), picture, SIZE).image
    assert not ImageChops.difference(mask, cut_out()).getbbox()


@pytest.mark.parametrize("color", [(0,), (-1,), (-2,), (0, -1, 3), (-1, -1, -1)])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_colour(bits: int, color: tuple[int, ...], tmp_path: Path) -> None:
    if len(color) == 3 and bits < 8:
        pytest.skip("PNG has no RGB of so few bits")
    outside = [value % 2**bits for value in color]
    inside = [*outside[:-1], outside[-1] ^ 2 ** (bits - 1)]
    path = tmp_path / "x.png"
    path.write_bytes(keyed(bits, inside, outside))
    assert_is_cut_out(open_picture(path))


def test_sixteen_bits_of_grey_are_compared_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(keyed(16, (0x8001,), (0x8000,)))
    assert_is_cut_out(open_picture(path))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_with_a_transparent_entry(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(palette(bits))
    assert_is_cut_out(open_picture(path))


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("x.png", "RGBA", {}),
        ("x.png", "LA", {}),
        ("x.webp", "RGBA", {"lossless": True}),
        ("x.gif", "RGBA", {}),
        ("x.tiff", "RGBA", {}),
        ("x.tiff", "LA", {}),
    ],
)
def test_other_files_with_transparency(
    name: str, mode: str, options: dict[str, object], tmp_path: Path
) -> None:
    saved(tmp_path / name, mode, **options)
    assert_is_cut_out(open_picture(tmp_path / name))


def test_an_associated_alpha_channel_of_a_tiff_file(tmp_path: Path) -> None:
    """Colours of half-transparent pixels are stored halved; they are shown as they were."""
    path = tmp_path / "x.tiff"
    Image.new("RGBA", SIZE, (100, 50, 20, 128)).save(path)
    kind = struct.pack("<HHI", 338, 3, 1)  # the tag of what the fourth channel is
    assert kind + b"\2" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(kind + b"\2", kind + b"\1"))
    assert open_picture(tmp_path / "x.tiff").image.getpixel((3, 3)) == pytest.approx(
        (199, 100, 40, 128), abs=1
    )


@pytest.mark.parametrize(("mode", "shown"), [("RGBa", "RGBA"), ("La", "LA"), ("PA", "RGBA")])
def test_modes_that_only_other_programs_make(mode: str, shown: str) -> None:
    image = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    image.paste((0, 0, 0, 255), mask=cut_out())
    made = image.convert({"La": "LA", "PA": "P"}.get(mode, mode)).convert(mode)
    found = shown_pixels(made, Path(__file__)).image
    assert found.mode == shown
    assert found.getchannel("A").tobytes() == cut_out().tobytes()


def test_a_transparent_colour_of_a_picture_and_of_a_frame_is_laid_on_white(tmp_path: Path) -> None:
    wanted = Image.new("RGB", SIZE, "white")
    wanted.paste((9, 9, 200), mask=cut_out())
    (tmp_path / "x.png").write_bytes(keyed(8, (9, 9, 200), (9, 200, 9)))
    assert on_white(open_picture(tmp_path / "x.png").image).tobytes() == wanted.tobytes()
    assert [frame.tobytes() for frame in open_frame_source(tmp_path / "x.png")] == [wanted.tobytes()]


def in_srgb(levels: Sequence[int], primaries: Sequence[Sequence[float]], gamma: float) -> list[int]:
    """The colour of an RGB profile in sRGB, by the textbook: to light, to XYZ, to sRGB's light, to levels."""
    light = [(level / 255) ** gamma for level in levels]
    xyz = [sum(part * value for part, value in zip(row, light, strict=True)) for row in primaries]
    inverse = ((3.1339, -1.6169, -0.4906), (-0.9788, 1.9161, 0.0335), (0.0719, -0.2290, 1.4052))
    linear = [min(1, max(0, sum(p * v for p, v in zip(row, xyz, strict=True)))) for row in inverse]
    return [round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055)) for v in linear]


@pytest.mark.parametrize(
    "color", [(200, 100, 50), (40, 200, 60), (128, 128, 128), (255, 255, 255), (0, 0, 0)]
)
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tiff"])
def test_colours_are_converted_to_srgb_with_a_note(color: tuple[int, ...], name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.new("RGB", (8, 8), color).save(path, quality=100, icc_profile=rgb_profile("Wide"))
    picture = open_picture(path)
    assert picture.image.getpixel((3, 3)) == pytest.approx(
        in_srgb(color, ADOBE, 2.2), abs=4 if "jpg" in name or "webp" in name else 1
    )
    assert picture.notes == (f"{path}: converted from the colour profile 'Wide' to sRGB",)


def test_srgb_under_any_name_changes_and_notes_nothing(tmp_path: Path) -> None:
    from PIL import ImageCms

    noise = Image.merge("RGB", [Image.effect_noise(SIZE, 90) for _ in range(3)])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise.save(tmp_path / "x.png", icc_profile=profile)
    picture = open_picture(tmp_path / "x.png")
    assert (picture.image.tobytes(), picture.notes) == (noise.tobytes(), ())


def test_transparency_survives_a_profile(tmp_path: Path) -> None:
    saved(tmp_path / "x.png", "RGBA", icc_profile=rgb_profile())
    picture = open_picture(tmp_path / "x.png")
    assert_is_cut_out(picture)
    assert len(picture.notes) == 1


def test_grey_stays_grey(tmp_path: Path) -> None:
    for profile, linear in ((grey_profile(1.0), 1.0), (rgb_profile(primaries=SRGB, gamma=1.0), 1.0)):
        Image.new("L", (8, 8), 55).save(tmp_path / "x.png", icc_profile=profile)
        image = open_picture(tmp_path / "x.png").image
        assert image.mode == "L"
        assert image.getpixel((0, 0)) == pytest.approx(in_srgb((55,) * 3, SRGB, linear)[0], abs=1)


def test_inks(tmp_path: Path) -> None:
    """By the profile, magenta is a green: no reading without it would say so."""
    Image.new("CMYK", (16, 16), (0, 255, 0, 0)).save(
        tmp_path / "x.jpg", quality=100, icc_profile=cmyk_profile()
    )
    red, green, blue = open_picture(tmp_path / "x.jpg").image.getpixel((8, 8))  # type: ignore[misc]
    assert green > 200 > 80 > max(red, blue)


def test_lab_needs_no_profile(tmp_path: Path) -> None:
    image = Image.new("LAB", (8, 8), (137, 208, 195))  # L* 53.7, a* 80, b* 67
    for options in ({}, {"icc_profile": rgb_profile()}):
        image.save(tmp_path / "x.tiff", **options)
        picture = open_picture(tmp_path / "x.tiff")
        assert picture.image.getpixel((3, 3)) == pytest.approx((253, 5, 5), abs=8)
        assert picture.notes == ()


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (b"no profile at all" * 20, "it is damaged or of an unknown kind"),
        (rgb_profile()[:200], "it is damaged or of an unknown kind"),
        (grey_profile(1.0), "it is for GRAY, the picture is RGB"),
        (cmyk_profile(), "it is for CMYK, the picture is RGB"),
        (rgb_profile().ljust((1 << 24) + 1, b"\0"), "it has more than 16 MB"),
    ],
)
def test_a_profile_that_cannot_be_used_leaves_the_colours(profile: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    Image.new("RGB", (8, 8), (200, 100, 50)).save(path, lossless=True, icc_profile=profile)
    picture = open_picture(path)
    assert picture.notes == (f"{path}: its colour profile is not used: {said}",)
    assert picture.image.getpixel((3, 3)) == (200, 100, 50)


def test_a_profile_s_name_is_one_short_printable_line(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (8, 8)).save(path, icc_profile=rgb_profile("a\x1b[31mb\nc" + 500 * "d"))
    (note,) = open_picture(path).notes
    assert note == f"{path}: converted from the colour profile 'a[31mbc{'d' * 32}…' to sRGB"


def test_a_profile_whose_name_cannot_be_read_is_used(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (8, 8), (40, 200, 60)).save(path, icc_profile=rgb_profile("F\xe4rben"))
    picture = open_picture(path)
    assert picture.image.getpixel((3, 3)) == pytest.approx(in_srgb((40, 200, 60), ADOBE, 2.2), abs=1)
    assert picture.notes == (f"{path}: converted from the colour profile 'unnamed' to sRGB",)


def test_frames_are_converted_too(tmp_path: Path) -> None:
    frames = [Image.new("RGB", SIZE, color) for color in ((40, 200, 60), (200, 100, 50))]
    for name in ("x.webp", "x.png"):
        options = {"lossless": True} if name == "x.webp" else {}
        frames[0].save(
            tmp_path / name, save_all=True, append_images=frames[1:], icc_profile=rgb_profile(), **options
        )
        found = [frame.getpixel((3, 3)) for frame in open_frame_source(tmp_path / name)]
        wanted = [in_srgb(frame.getpixel((0, 0)), ADOBE, 2.2) for frame in frames]  # type: ignore[arg-type]
        assert [pytest.approx(color, abs=1) for color in wanted] == found
        (note,) = open_frame_source(tmp_path / name).notes
        assert note.endswith("converted from the colour profile 'Adobe-like' to sRGB")


def test_a_folder_s_first_picture_tells_of_its_profile(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        Image.new("RGB", SIZE, (40, 200, 60)).save(tmp_path / name, icc_profile=rgb_profile())
    footage = open_frame_source(tmp_path)
    assert footage.notes == (f"{tmp_path / '1.png'}: converted from the colour profile 'Adobe-like' to sRGB",)
    assert len({frame.tobytes() for frame in footage}) == 1


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_png_file_has_all_of_its_rows(bits: int, interlace: bool, tmp_path: Path) -> None:
    """An interlaced picture holds seven smaller ones: of 64x40 px, these are their rows of grey."""
    sides = [(8, 5), (8, 5), (16, 5), (16, 10), (32, 10), (32, 20), (64, 20)] if interlace else [SIZE]
    rows = [bytes(-(-width * bits // 8)) for width, height in sides for _ in range(height)]
    path = tmp_path / "x.png"
    path.write_bytes(png(bits, 0, rows, interlace=interlace))
    assert open_picture(path).image.size == SIZE
    path.write_bytes(png(bits, 0, rows[:-1], interlace=interlace))
    with pytest.raises(AssetError, match="rows are missing"):
        open_picture(path)


def test_a_frame_of_an_animated_png_file_has_all_of_its_rows(tmp_path: Path) -> None:
    def film(rows: int) -> bytes:
        pixels = zlib.compress(bytes((1 + SIZE[0]) * rows))
        control = [struct.pack(">5I2H2B", number, *SIZE, 0, 0, 1, 10, 0, 0) for number in (0, 1)]
        parts = [
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            chunk(b"fcTL", control[0]),
            chunk(b"IDAT", zlib.compress(bytes((1 + SIZE[0]) * SIZE[1]))),
            chunk(b"fcTL", control[1]),
            chunk(b"fdAT", struct.pack(">I", 2) + pixels),
            chunk(b"IEND", b""),
        ]
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", *SIZE, 8, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts)

    (tmp_path / "x.png").write_bytes(film(SIZE[1]))
    assert len(list(open_frame_source(tmp_path / "x.png"))) == 2
    (tmp_path / "x.png").write_bytes(film(SIZE[1] // 2))
    with pytest.raises(AssetError, match="rows are missing"):
        open_frame_source(tmp_path / "x.png")
