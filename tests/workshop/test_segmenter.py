"""The segmenter: drawn scenes with patches, its training, and how well the published weights do."""

import numpy as np
import pytest
import torch
from PIL import Image

from smd_cli.workshop.judge.hints import HINTS, index_of, with_hints
from smd_cli.workshop.judge.patched import CANVAS, SIDE, draw_patched
from smd_cli.workshop.judge.segmenter import Segmenter, load_segmenter, segment
from smd_cli.workshop.judge.train_segmenter import COURSE, draw_scenes, evaluate, lesson
from smd_cli.workshop.world.backgrounds import BACKGROUNDS


@pytest.fixture(scope="module")
def drawn():
    return [draw_patched(seed) for seed in range(40)]


def test_a_seed_is_a_patched_scene():
    one, again, other = draw_patched(3), draw_patched(3), draw_patched(4)
    assert one.image.tobytes() == again.image.tobytes() != other.image.tobytes()
    assert one.halos.tobytes() == again.halos.tobytes()
    assert one.image.size == one.things.size == one.halos.size == (CANVAS, CANVAS)


def test_patches_are_seen_beside_things_and_many_scenes_have_none(drawn):
    halos = [np.asarray(scene.halos) for scene in drawn]
    things = [np.asarray(scene.things) for scene in drawn]
    assert not any(halo[thing == 255].any() for halo, thing in zip(halos, things, strict=True))
    without = sum(not halo.any() for halo in halos)
    assert 0.2 * len(drawn) < without < 0.7 * len(drawn)
    assert max((halo > 128).mean() for halo in halos) > 0.1
    assert all((thing > 0).any() or halo.any() for thing, halo in zip(things, halos, strict=True))


def test_white_where_the_background_is_white_is_ground(drawn):
    on_white = [scene for scene in map(draw_patched, range(100)) if scene.background == "white"]
    assert len(on_white) > 3
    for scene in on_white:
        white = np.asarray(scene.image).min(axis=2) >= 250
        assert not np.asarray(scene.halos)[white].any()


def test_hints_are_the_height_and_the_background():
    planes = with_hints(torch.zeros(2, 3, 5, 4), torch.tensor([0, index_of("snow")]))
    assert planes.shape == (2, 3 + HINTS, 5, 4)
    assert planes[0, 3, :, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert planes[:, 4:, 0, 0].argmax(1).tolist() == [0, list(BACKGROUNDS).index("snow")]
    part = with_hints(torch.zeros(1, 3, 3, 2), torch.tensor([0]), torch.tensor([[0.5, 1.0]]))
    assert part[0, 3, :, 1].tolist() == [0.5, 0.75, 1]


def test_the_classes_of_a_lesson_are_shares_and_outlines_count_for_nothing():
    planes = torch.zeros(4, SIDE, SIDE, 5, dtype=torch.uint8)
    planes[:, 40:80, 40:80, 3] = 255
    planes[:, 10:30, 10:30, 4] = 255
    pixels, shares, weight = lesson(planes, torch.Generator().manual_seed(1))
    assert pixels.shape == (4, 3, SIDE, SIDE)
    assert torch.allclose(shares.sum(1), torch.ones(4, SIDE, SIDE))
    assert shares[:, 0, 60, 60].tolist() == [1] * 4
    assert shares[:, 1, 120, 120].tolist() == [1] * 4
    assert weight[:, 0, 60, 60].tolist() == weight[:, 0, 120, 120].tolist() == [1] * 4
    beside = (weight < 0.5).flatten(1).sum(1)
    assert ((beside > 200) & (beside < 600)).all()


def test_any_size_can_be_segmented():
    assert segment(Segmenter(), Image.new("RGB", (386, 250)), "snow").shape == (3, 125, 193)


def test_the_published_segmenter_finds_patches_of_unseen_drawings():
    """The test of docs/flatland-log.md on fewer scenes."""
    first = COURSE.seeds[1] + 10_000
    data = draw_scenes(range(first, first + 60))
    overlap = evaluate(load_segmenter(), data)
    assert overlap["thing"] > 0.7
    assert overlap["ground"] > 0.93
    assert overlap["neither"] > 0.5
