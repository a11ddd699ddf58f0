"""The similarity filter: what passes, how long it may skip, and that it can be repeated."""

import pytest
import torch

from smd_cli.engine.similarity import SimilarityFilter

STILL = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def passed(frames, threshold=0.9, max_skip=10, seed=0) -> list[int]:
    chosen = SimilarityFilter(threshold, max_skip, seed)
    return [number for number, frame in enumerate(frames) if chosen.passes(frame)]


@pytest.mark.parametrize("max_skip", [1, 3, 10])
def test_a_still_picture_passes_once_in_so_many_frames(max_skip):
    assert passed([STILL] * 40, max_skip=max_skip) == list(range(0, 40, max_skip + 1))


def test_frames_no_nearer_than_the_threshold_always_pass():
    opposite = [STILL * (-1) ** number for number in range(20)]
    assert passed(opposite, threshold=0.0) == list(range(20))
    other = STILL.flip(-1)
    similarity = float(torch.cosine_similarity(STILL.flatten(), other.flatten(), dim=0))
    alternating = [other if number % 2 else STILL for number in range(20)]
    assert passed(alternating, threshold=similarity + 1e-4) == list(range(20))


def test_the_chance_of_skipping_rises_with_similarity():
    """Half way between the threshold and equality, half of the frames are skipped."""
    direction = torch.zeros(2000)
    direction[0] = 1

    def at(similarity: float) -> torch.Tensor:
        frame = direction * similarity
        frame[1] = (1 - similarity**2) ** 0.5
        return frame

    skipped = 0
    for seed in range(400):
        chosen = SimilarityFilter(0.8, 10, seed)
        chosen.passes(direction)
        skipped += not chosen.passes(at(0.9))
    assert 160 < skipped < 240


def test_skips_are_counted_from_the_last_frame_that_passed():
    other = -STILL
    frames = [STILL, STILL, STILL, other, other, other, other, other]
    assert passed(frames, max_skip=3) == [0, 3, 7]


def test_it_compares_with_the_last_frame_that_passed_not_with_the_last_one():
    """A slow turn is noticed: each frame is like the one before, and yet one passes in time."""
    angles = torch.linspace(0, torch.pi, 60)
    frames = [torch.tensor([angle.cos(), angle.sin()]) for angle in angles]
    assert len(passed(frames, threshold=0.9, max_skip=1000)) > 4


def test_the_seed_decides():
    frames = [
        STILL + 0.5 * torch.randn(STILL.shape, generator=torch.Generator().manual_seed(n)) for n in range(60)
    ]
    assert passed(frames, 0.5, seed=1) == passed(frames, 0.5, seed=1)
    assert passed(frames, 0.5, seed=1) != passed(frames, 0.5, seed=2)
