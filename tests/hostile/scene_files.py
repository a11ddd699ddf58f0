"""The files that attacking scenes name: good ones, and some that are not."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from tests.media.frames import moving
from tests.models.conftest import make_tiny_vae, make_unet, write_model

LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def write_files(folder: Path) -> None:
    """Write pictures, films and models into a folder."""
    _write_masks(folder)
    _write_pictures(folder)
    _write_films(folder)
    _write_models(folder)


def _write_masks(folder: Path) -> None:
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).ellipse((4, 10, 50, 60), fill=255)
    mask.save(folder / "mask.png")
    Image.new("L", (64, 64)).save(folder / "empty.png")
    Image.linear_gradient("L").resize((100, 50)).save(folder / "soft.png")
    cutout = Image.new("RGBA", (128, 64), (200, 100, 50, 0))
    ImageDraw.Draw(cutout).rectangle((30, 10, 100, 60), fill=(200, 100, 50, 255))
    cutout.save(folder / "cutout.png")
    painted = Image.new("RGB", (96, 96), "#ff0000")
    draw = ImageDraw.Draw(painted)
    draw.rectangle((40, 0, 96, 50), fill="#00ff00")
    draw.rectangle((0, 50, 60, 96), fill="#0000ff")
    painted.save(folder / "map.png")


def _write_pictures(folder: Path) -> None:
    photo = Image.radial_gradient("L").resize((128, 96))
    Image.merge("RGB", (photo, photo.rotate(90), photo.rotate(180))).save(folder / "photo.png")
    Image.merge("RGB", (photo, photo, photo)).resize((300, 30)).save(folder / "wide.png")
    Image.merge("RGB", (photo, photo, photo)).resize((250, 190)).save(folder / "large.jpg")
    (folder / "text.png").write_text("no picture")
    (folder / "short.png").write_bytes((folder / "photo.png").read_bytes()[:2000])


def _write_films(folder: Path) -> None:
    frames = list(moving(5, (64, 48)))
    for name in ("clip.gif", "clip.apng"):
        durations = [30, 200, 50, 1000, 40]
        kind = "PNG" if name.endswith("apng") else "GIF"
        frames[0].save(folder / name, kind, save_all=True, append_images=frames[1:], duration=durations)
    from smd_cli.media.sinks import open_sink
    from smd_cli.scene.frame_times import EvenTimes

    sink = open_sink(
        str(folder / "clip.mp4"), size=(64, 48), times=EvenTimes.of(10), loop=0, texts=None, sound=None
    )
    for frame in frames:
        sink.add(frame)
    sink.close()
    for name, holds in (("frames", ()), ("holes", (2,))):
        (folder / name).mkdir()
        for number, frame in enumerate(frames):
            path = folder / name / f"{number}.png"
            frame.resize((64 + 8 * number, 48)).save(path)
            if number in holds:
                path.write_text("no picture")


def _write_models(folder: Path) -> None:
    tiny = write_model(folder / "tiny")
    make_tiny_vae().save_pretrained(folder / "vae")
    from tests.models.conftest import ldm_tensors

    save_file(ldm_tensors(tiny), folder / "tiny.safetensors")
    width = dict(make_unet().named_modules())[LAYER].weight.shape[0]
    for name, inner in (("lora", width), ("misfit", width + 1)):
        factors = {
            f"unet.{LAYER}.lora_A.weight": torch.full((2, inner), 0.1),
            f"unet.{LAYER}.lora_B.weight": torch.full((width, 2), 0.1),
        }
        save_file(factors, folder / f"{name}.safetensors")
    save_file({"<cat>": torch.full((2, 32), 0.1)}, folder / "cat.safetensors")
