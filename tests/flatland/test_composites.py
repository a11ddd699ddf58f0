"""Composites: what the views of regions see after the bootstrap, and what they are to become."""

import numpy as np
import pytest
import torch

from smd_cli.flatland.train.composites import Composite, batch_of_composites, bootstrapped, composite_loss
from smd_cli.flatland.train.unet import alphas_cumprod, weights_at
from smd_cli.flatland.world.picture import draw_scattered


def seeing(picture):
    """A network that sees the same picture (N, C, h, w) in everything."""

    def predict(z, timesteps, **_):
        alpha, sigma = weights_at(timesteps, alphas_cumprod())
        return ((z - alpha * picture) / sigma,)

    return predict


@pytest.fixture
def data():
    """Three scenes of 7 with things of 3 on white of 0: two things, one, and one."""
    boxes = torch.zeros(3, 4, 4)
    boxes[:, 0] = torch.tensor([0.1, 0.1, 0.4, 0.4])
    boxes[0, 1] = torch.tensor([0.6, 0.6, 0.9, 0.9])
    ids = torch.arange(15).view(3, 5, 1).expand(3, 5, 77)
    scene, alone = torch.full((3, 4, 16, 16), 7.0), torch.full((3, 4, 16, 16), 3.0)
    return {"scene": scene, "alone": alone, "boxes": boxes, "ids": ids, "white": torch.zeros(1, 4, 16, 16)}


def test_scattered_things_stand_alike_in_the_scene_and_on_white():
    for seed in range(12):
        drawn = draw_scattered(seed, 64)
        scene, alone = np.asarray(drawn.image).astype(int), np.asarray(drawn.on_white).astype(int)
        thing = (alone < 250).any(axis=2)
        assert len(drawn.words) == len(drawn.boxes) >= 1
        assert 0.01 < thing.mean() < 0.8
        assert np.median(abs(scene - alone)[thing]) == 0 < 15 < abs(scene - alone)[~thing].mean()


def test_a_view_is_asked_for_one_region_or_for_what_they_leave(data):
    batch = batch_of_composites(data, 200, torch.Generator().manual_seed(0))
    numbers = batch.ids[:, 0] % 5
    behind = numbers == 4
    assert 0.1 < behind.float().mean() < 0.3
    assert set(numbers.tolist()) == {0, 1, 4}
    assert (batch.ids[numbers == 1, 0] == 1).all()
    assert torch.equal(batch.asked[behind], 1 - batch.regions[behind])
    assert (batch.asked <= batch.regions)[~behind].all()
    assert 0.03 < batch.asked[~behind].mean() < 0.2
    corner = batch.asked[:, 0, 3:5, 3:5].mean(dim=(1, 2))
    assert torch.equal(corner == 1, numbers == 0)


def test_a_bootstrapped_region_holds_what_the_student_saw_on_white(data):
    rng = torch.Generator().manual_seed(0)
    batch = batch_of_composites(data, 20, rng)
    states = torch.zeros(20, 77, 8)
    seen = bootstrapped(seeing(torch.full((20, 4, 16, 16), 5.0)), batch, states, rng)
    inside = (batch.asked > 0).expand_as(seen)
    assert torch.allclose(seen[inside], torch.tensor(5.0), atol=1e-2)
    assert (seen[~inside] == 0).all()


def test_the_student_is_to_see_the_scene_most_of_all_where_it_is_asked(data):
    rng = torch.Generator().manual_seed(0)
    batch = batch_of_composites(data, 20, rng)
    states = torch.zeros(20, 77, 8)

    def loss_of(picture):
        return composite_loss(seeing(picture), seeing(batch.alone), batch, states, rng).item()

    assert loss_of(batch.scene) < 0.02
    inside = batch.scene + batch.asked
    outside = batch.scene + (1 - batch.asked)
    ratio = loss_of(inside) / loss_of(outside)
    assert ratio == pytest.approx(4 * batch.asked.sum().item() / (1 - batch.asked).sum().item(), rel=0.1)


def test_what_is_seen_is_the_scene_around_regions_and_things_on_white_in_them(data):
    rng = torch.Generator().manual_seed(0)
    drawn = batch_of_composites(data, 400, rng)
    shown = []

    def spy(z, timesteps, **_):
        shown.append((z, timesteps))
        return (torch.zeros_like(z),)

    batch = Composite(*(getattr(drawn, name) for name in Composite.__dataclass_fields__))
    composite_loss(spy, seeing(torch.full_like(batch.scene, 5.0)), batch, torch.zeros(400, 77, 8), rng)
    z, timesteps = shown[-1]
    clean = z / weights_at(timesteps, alphas_cumprod())[0]
    regions = (batch.regions > 0).expand_as(clean)
    own = (batch.asked * batch.regions > 0).expand_as(clean)
    assert set(timesteps.tolist()) == {919, 759, 499, 259}
    assert clean[~regions].mean() == pytest.approx(7, abs=0.1)
    assert clean[regions & ~own].mean() == pytest.approx(3, abs=0.3)
    assert clean[own].mean() == pytest.approx(0.6 * 5 + 0.4 * 3, abs=0.3)
