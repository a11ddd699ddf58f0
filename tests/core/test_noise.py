"""Noise is a function of the seed and of what it is for."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.core.noise import SeededNoise

SHAPE = (1, 4, 16, 24)


@given(
    seed=st.integers(-(2**70), 2**70), purpose=st.sampled_from(["init", "renoise"]), step=st.integers(0, 999)
)
def test_equal_arguments_give_equal_noise_whatever_was_drawn_between(
    seed: int, purpose: str, step: int
) -> None:
    first = SeededNoise(seed)(purpose, step, SHAPE)
    torch.manual_seed(step)
    SeededNoise(seed)("bootstrap", step, SHAPE)
    torch.testing.assert_close(SeededNoise(seed)(purpose, step, SHAPE), first, rtol=0, atol=0)


def test_seed_purpose_and_step_each_make_other_noise() -> None:
    drawn = [
        SeededNoise(seed)(purpose, step, SHAPE)
        for seed in (0, 1, 11)
        for purpose in ("init", "renoise", "bootstrap")
        for step in (0, 1, 11)
    ]
    for i, noise in enumerate(drawn):
        for other in drawn[:i]:
            correlation = torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1]
            assert abs(correlation) < 0.12


def test_noise_is_standard_normal() -> None:
    noise = SeededNoise(3)("init", 0, (1, 4, 64, 64))
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    SeededNoise(0)("init", 0, SHAPE)
    assert torch.equal(torch.get_rng_state(), before)


def test_recipes_of_old_pictures_keep_their_noise() -> None:
    noise = SeededNoise(2024)("renoise", 3, (1, 4, 8, 8))
    torch.testing.assert_close(
        noise[0, 0, 0, :3], torch.tensor([-0.776350, 0.118487, -1.204543]), rtol=0, atol=1e-5
    )
