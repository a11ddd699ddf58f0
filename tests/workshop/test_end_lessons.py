"""Lessons of both ends of sampling: first steps of things alone, and last steps of whole pictures."""

import random
from types import SimpleNamespace

import numpy as np
import torch

from smd_cli.workshop.train.coupled import CoupledLessons, encode_coupled, stage_batch
from smd_cli.workshop.train.ends import EndLessons
from smd_cli.workshop.train.late import Lessons
from smd_cli.workshop.train.left import SceneLesson
from smd_cli.workshop.train.painted import timestep_of
from smd_cli.workshop.train.unet import alphas_cumprod
from smd_cli.workshop.world.usual import draw_usual
from tests.workshop.parts import sees_three


def ends() -> EndLessons:
    regions = torch.zeros(5, 1, 32, 32, dtype=torch.bool)
    regions[..., :16] = True

    def encoded(level: float) -> dict[str, torch.Tensor]:
        ids = torch.arange(5)[:, None].expand(5, 77).contiguous()
        return {"latents": level * torch.ones(5, 4, 32, 32), "ids": ids}

    pictures = encoded(8)
    pictures["latents"] += torch.arange(5)[:, None, None, None]
    return EndLessons(encoded(4) | {"regions": regions}, pictures, torch.full((1, 4, 1, 1), 9.0), no_text)


def no_text(ids: torch.Tensor) -> SimpleNamespace:
    return SimpleNamespace(last_hidden_state=torch.zeros(len(ids), 77, 16))


def test_words_alone_say_how_a_usual_thing_looks():
    for kind in ("cat", "moon", "goddess"):
        looks: dict[frozenset[str], list[np.ndarray]] = {}
        for seed in range(40):
            picture, words = draw_usual(random.Random(seed), kind, 0.4, 48)
            told = frozenset(words.replace("lifts arm", "lifts").replace(",", "").split())
            looks.setdefault(told & {"blonde", "black", "red", "lifts"}, []).append(picture)
        assert all((picture == same[0]).all() for same in looks.values() for picture in same)
        assert len({same[0].tobytes() for same in looks.values()}) == len(looks)
        assert (len(looks) > 3) == (kind == "goddess")


def test_first_steps_see_things_hidden_or_begun_and_should_show_them_whole():
    begun, hidden = [], 0
    for step in range(12):
        batch = ends().first(sees_three, 8, torch.Generator().manual_seed(step))
        assert (batch.targets == 4).all()
        for z, t in zip(batch.z, batch.timesteps, strict=True):
            alpha = float(alphas_cumprod()[t].sqrt())
            left, right = (float(half.mean()) for half in (z[..., :16], z[..., 16:]))
            assert abs(right - 9 * alpha) < 0.1  # white around
            if t == timestep_of(0):
                hidden += 1
                assert abs(left) < 0.1
            else:
                assert int(t) in {timestep_of(index) for index in (4, 10, 18)}
                begun.append(left / alpha)
    assert 25 < hidden < 65
    own = [level for level in begun if abs(level - 3) < 0.5]  # as the student estimates
    assert 0.5 < len(own) / len(begun) < 0.9
    others = [level for level in begun if level not in own]
    assert 5 < max(others) < 9 - 0.35 * 5 + 0.6  # faint, before white that is 9


def test_last_steps_see_pictures_at_low_noise_and_should_leave_them():
    timesteps, others = [], 0
    for step in range(12):
        batch = ends().last(8, torch.Generator().manual_seed(step))
        which = batch.targets.mean((1, 2, 3)) - 8
        others += int((batch.ids[:, 0] != which.round()).sum())
        alphas = alphas_cumprod()[batch.timesteps]
        noise = (batch.z - alphas.sqrt()[:, None, None, None] * batch.targets).std((1, 2, 3))
        torch.testing.assert_close(noise, (1 - alphas).sqrt(), atol=0, rtol=0.1)
        timesteps += batch.timesteps.tolist()
    assert min(timesteps) < 15
    assert 250 < max(timesteps) < 300
    assert 0.7 < np.mean([t < 145 for t in timesteps]) < 0.97
    assert 1 <= others < 25


class Sees:
    """A student that sees three, also under several prompts."""

    unet = staticmethod(sees_three)

    def __call__(self, z, timesteps, ids, coupling):
        return torch.full_like(z, 3.0)


def test_a_batch_of_the_stage_has_lessons_of_every_kind():
    def kind(level: float) -> CoupledLessons:
        tile = torch.full((4, 32, 32), level)
        lesson = SceneLesson(tile, tile, ("a",), torch.ones(1, 32, 32), (28, 38))
        return CoupledLessons(**encode_coupled([lesson], torch.zeros(1, 77, dtype=torch.long)))

    shown = ends().pictures | {"shown": ends().pictures["latents"]}
    painted = shown | {"latents": torch.full((5, 4, 32, 32), 30.0)}
    drawn = shown | {"bootstrapped": shown["shown"], "caption_complete": torch.ones(5) > 0}
    earlier = Lessons(painted, drawn, ends().things, sees_three, no_text, ends().white)
    batch = stage_batch(Sees(), (earlier, ends()), (kind(20), kind(40)), torch.Generator().manual_seed(0))
    wanted = batch.targets.mean((1, 2, 3))
    assert [int((abs(wanted - level) < 0.1).sum()) for level in (20, 40, 30, 4, 3)] == [4, 3, 1, 3, 3]
    pictures = (wanted > 7) & (wanted < 13)
    assert pictures.sum() == 2
    assert batch.timesteps[pictures].max() < 300
    assert batch.coupling.rows == tuple(range(16))
