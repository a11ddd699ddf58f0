"""What is painted on a picture, and what stays of it: inpainting, outpainting, image-to-image, wrapping."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import decode_image, render
from smd_cli.media.paint import paint_scene
from smd_cli.media.scene_images import SceneImages
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from smd_cli.workshop.world import draw_picture
from tests.embedded import backbone

BOX = "{name: thing, prompt: a red circle, mask: {box: [0.5, 0.25, 0.9, 0.75]}"


def staged(
    text: str, folder: Path, picture_size: tuple[int, int] | None = None
) -> tuple[PreparedScene, SceneImages]:
    plan = resolve(load_text(f"smd: 1\n{text}\n", "scene").scene, "scene", folder, picture_size)
    painted = paint_scene(plan)
    setting = CanvasImages(painted.masks, painted.background, painted.new_area)
    with torch.inference_mode():
        return prepare(plan, setting, backbone(), batch=4), painted


def rendered(stage: PreparedScene, seed: int = 0) -> np.ndarray:
    return np.asarray(render(stage, seed, Clock()).image).astype(int)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a picture of 200x136 px."""
    path = tmp_path_factory.mktemp("pictures")
    draw_picture(7, 256).image.crop((20, 30, 220, 166)).save(path / "photo.png")
    return path


@pytest.mark.parametrize("kind", ["discrete", "semi-continuous", "continuous"])
@pytest.mark.parametrize("std", [0, 6])
def test_outside_the_blurred_masks_not_one_byte_differs(kind, std, folder):
    stage, painted = staged(
        f"canvas: {{width: 256, height: 192}}\nmasks: {{type: {kind}, std: {std}}}\n"
        f"background: {{image: photo.png, prompt: grass}}\nregions: [{BOX}}}]",
        folder,
    )
    photo, made = np.asarray(painted.background).astype(int), rendered(stage)
    stays = stage.preserved.covered[0, 0].numpy() == 0
    assert 0.5 < stays.mean() < 0.9
    assert (made[stays] == photo[stays]).all()
    assert abs(made[60:130, 140:220] - photo[60:130, 140:220]).mean() > 8


def test_a_picture_is_the_decoding_of_the_latents_that_come_with_it(folder):
    text = f"canvas: {{width: 96, height: 64}}\nsampler: {{indices: [0, 25]}}\nregions: [{BOX}}}]"
    stage, _ = staged(text, folder)
    image, latents = render(stage, 3, Clock())
    assert (latents.shape, latents.dtype, latents.device.type) == ((1, 4, 8, 12), torch.float32, "cpu")
    assert not latents.is_inference()  # a user's own arithmetic may change it and train on it
    assert decode_image(stage, latents).tobytes() == image.tobytes()
    _, others = render(stage, 4, Clock())
    assert not torch.equal(latents, others)


def test_a_canvas_that_follows_its_picture_gives_a_picture_of_its_size(folder):
    draw_picture(7, 256).image.crop((0, 0, 141, 99)).save(folder / "odd.png")
    stage, painted = staged(f"background: {{image: odd.png}}\nregions: [{BOX}}}]", folder, (141, 99))
    assert painted.background.size == (144, 104)
    assert rendered(stage).shape == (99, 141, 3)


def test_new_area_is_painted_and_joined_while_the_picture_stays(folder):
    stage, painted = staged(
        "canvas: {width: 384, height: 136}\nbackground: {image: photo.png, place: [0, 0], prompt: grass}",
        folder,
    )
    photo, made = np.asarray(painted.background).astype(int), rendered(stage)
    covered = stage.preserved.covered[0, 0].numpy()
    assert (covered[:, 200:] == 1).all()
    assert (covered[:, :140] == 0).all()
    assert (made[:, :140] == photo[:, :140]).all()
    assert abs(made[:, 260:] - photo[:, 260:]).mean() > 8  # not the edge of the picture, repeated
    across = abs(np.diff(made, axis=1)).mean(axis=(0, 2))
    assert across[190:210].max() <= np.quantile(across, 0.999)
    paler = stage.preserved.picture + 0.2
    assert (stage.preserved.blend(paler) - stage.preserved.picture).abs().max() < 0.03


def test_new_area_is_never_drawn_alone_on_white(folder):
    stage, _ = staged(
        "canvas: {width: 384, height: 136}\n"
        f"background: {{image: photo.png, place: [0, 0], prompt: grass}}\nregions: [{BOX}}}]",
        folder,
    )
    assert stage.regions.behind == {0}
    assert len(stage.regions) == 2
    assert stage.regions.masks[0, ..., 4:12, :16].eq(0).all()  # latents well inside the picture
    assert stage.regions.masks[:, -1].sum(0)[..., 26:].eq(1).all()


@pytest.mark.parametrize("sampler", ["kind: lcm", "kind: ddim, steps: 10"])
def test_image_to_image_departs_from_its_picture_as_far_as_its_strength_says(sampler, folder):
    def apart(strength: float) -> float:
        stage, _ = staged(
            f"canvas: {{width: 256, height: 128}}\nsampler: {{{sampler}}}\n"
            f"background: {{image: photo.png, prompt: sunset, strength: {strength}}}",
            folder,
        )
        assert stage.preserved is None
        given_back = np.asarray(decode_image(stage, stage.source)).astype(
            int
        )  # without the autoencoder's share
        return abs(rendered(stage) - given_back).mean()

    little, some, much = apart(0.1), apart(0.3), apart(1)
    assert little < 0.7 * some
    assert some < much


def test_image_to_image_takes_the_last_part_of_the_way(folder):
    def timesteps(sampler: str) -> list[int]:
        stage, _ = staged(
            f"canvas: {{width: 256, height: 128}}\nsampler: {{{sampler}}}\n"
            "background: {image: photo.png, prompt: sunset, strength: 0.5}",
            folder,
        )
        return stage.method.schedule.timesteps.tolist()

    assert timesteps("kind: lcm") == [499, 459, 379, 259, 139]  # 25 + half of 0, 4, 12, 25, 37, of 50
    assert timesteps("kind: ddim, steps: 10") == [401, 301, 201, 101, 1]


def jumps(picture: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean difference of the last and the first column, and of all columns that are neighbours."""
    return abs(picture[:, 0] - picture[:, -1]).mean(), abs(np.diff(picture, axis=1)).mean(axis=(0, 2))


def test_the_ends_of_a_canvas_that_wraps_meet_like_any_neighbours():
    text = "task: panorama\ncanvas: {{width: 512, height: 128, wrap: {}}}\nbackground: {{prompt: Alps}}"
    closed, _ = staged(text.format("x"), Path())
    open_, _ = staged(text.format("none"), Path())
    seams = []
    for seed in range(2):
        seam, inside = jumps(rendered(closed, seed))
        assert seam <= inside.max()
        seams.append((seam, jumps(rendered(open_, seed))[0]))
    assert sum(seam for seam, _ in seams) < 0.5 * sum(cut for _, cut in seams)


def test_no_seam_shows_where_tiles_begin_and_end():
    """Seams would show at most of the edges; at one of them the picture may have an edge of its own."""
    stage, _ = staged(
        "task: panorama\ncanvas: {width: 640, height: 128}\nbackground: {prompt: a large tree}", Path()
    )
    edges = [x * 8 - 1 for box in stage.regions.tiling.boxes for x in (box.left, box.right) if 0 < x < 80]
    for seed in range(2):
        _, inside = jumps(rendered(stage, seed))
        assert np.median(inside[edges]) <= np.quantile(inside, 0.9)
