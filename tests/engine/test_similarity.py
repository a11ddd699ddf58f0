"""The similarity filter: what passes, how long it may skip, and that it can be repeated."""

import pytest
import torch

from smd_cli.engine.similarity import SimilarityFilter
from smd_cli.scene.stream_section import Measure, Similarity

STILL = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def passed(frames, threshold=0.9, max_skip=10, seed=0, measure: Measure = "cosine") -> list[int]:
    chosen = SimilarityFilter(Similarity(measure=measure, threshold=threshold, max_skip=max_skip), seed)
    return [number for number, frame in enumerate(frames) if chosen.passes(frame)]


def shown(frames) -> list[int]:
    """What passes where a scene only says that there is a filter."""
    chosen = SimilarityFilter(Similarity(), 0)
    return [number for number, frame in enumerate(frames) if chosen.passes(frame)]


def noisy(level: float, count: int = 110) -> list[torch.Tensor]:
    """A still film, each of its pixels a few levels of 255 off by chance (standard deviation)."""
    noise = torch.Generator().manual_seed(1)
    still = torch.rand(3, 64, 64, generator=noise) * 1.6 - 0.8
    return [still + torch.randn(still.shape, generator=noise) * level / 127.5 for _ in range(count)]


@pytest.mark.parametrize("measure", ["rms", "cosine"])
@pytest.mark.parametrize("max_skip", [1, 3, 10])
def test_a_still_picture_passes_once_in_so_many_frames(max_skip, measure):
    passing = passed([STILL] * 40, max_skip=max_skip, measure=measure)
    assert passing == list(range(0, 40, max_skip + 1))


def test_every_step_of_a_fade_from_grey_to_white_is_painted():
    fade = [torch.full((3, 8, 8), level) for level in torch.linspace(0, 1, 24).tolist()]
    assert shown(fade) == list(range(24))
    from_dark = [STILL * 0.5 - 0.5 + step for step in torch.linspace(0, 1, 24).tolist()]
    assert shown(from_dark) == list(range(24))


def test_the_published_measure_sees_no_brightness():
    assert passed([STILL * (0.1 + 0.03 * number) for number in range(30)]) == [0, 11, 22]


def test_a_thing_that_crosses_a_still_picture_is_painted():
    crossing = [torch.full((3, 64, 64), -0.2) for _ in range(15)]
    for number, frame in enumerate(crossing):
        frame[:, 20:26, 4 * number : 4 * number + 6] = 0.9
    assert shown(crossing) == list(range(15))


def test_noise_as_compression_leaves_it_is_mostly_skipped():
    """Two frames of noise differ by 1.4 times its level, 5.1 levels are the threshold."""
    assert len(shown(noisy(0.5))) < 110 * 0.25
    assert len(shown(noisy(1.5))) < 110 * 0.6
    assert len(shown(noisy(5))) == 110


def test_the_rms_measure_is_half_the_difference_in_values():
    """At 0.98, a step of 5 levels of 255 may be skipped, one of 6 never is."""
    for step, ever in ((5, True), (6, False)):
        pair = [torch.zeros(3, 8, 8), torch.full((3, 8, 8), step / 127.5)]
        skips = [len(passed(pair, 0.98, seed=seed, measure="rms")) == 1 for seed in range(300)]
        assert any(skips) == ever


def test_frames_no_nearer_than_the_threshold_always_pass():
    opposite = [STILL * (-1) ** number for number in range(20)]
    assert passed(opposite, threshold=0.0) == list(range(20))
    other = STILL + STILL.flip(-1)
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
        chosen = SimilarityFilter(Similarity(measure="cosine", threshold=0.8), seed)
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
