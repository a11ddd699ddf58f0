"""New area takes on the tone of the picture that it extends, and keeps its own forms."""

import torch

from smd_cli.engine.tone import CELL, Joint, fill_gaps, match_tone


def test_what_is_known_stays_and_gaps_lie_between():
    values, weights = torch.rand(1, 3, 20, 27), torch.zeros(1, 1, 20, 27)
    weights[..., 3:17, 5] = 1
    filled = fill_gaps(values, weights)
    assert torch.equal(filled[..., 3:17, 5], values[..., 3:17, 5])
    low, high = values[..., 3:17, 5].amin(-1), values[..., 3:17, 5].amax(-1)
    assert (filled >= low[..., None, None] - 1e-6).all()
    assert (filled <= high[..., None, None] + 1e-6).all()


def test_one_value_is_carried_everywhere_and_none_is_zero():
    weights = torch.zeros(1, 1, 9, 14)
    weights[..., 2, 11] = 1
    values = torch.full((1, 3, 9, 14), 0.3) * weights
    assert torch.allclose(fill_gaps(values, weights), torch.tensor(0.3))
    assert fill_gaps(values, 0 * weights).eq(0).all()


def test_a_paler_extension_of_a_gradient_ends_as_dark_as_the_picture_and_keeps_its_forms():
    rows = torch.linspace(-0.5, 0.5, 8 * CELL)[:, None].expand(1, 3, -1, 16 * CELL)
    form = 0.4 * torch.randn(1, 1, 8 * CELL, 16 * CELL, generator=torch.Generator().manual_seed(0))
    known = torch.zeros(1, 1, 8 * CELL, 16 * CELL)
    known[..., : 8 * CELL] = 1
    reaching = torch.zeros_like(known)
    reaching[..., 6 * CELL :] = 1
    painted = rows + form + torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    better = match_tone(painted, rows + form, Joint(reaching, known))
    assert torch.equal(better[..., : 6 * CELL], painted[..., : 6 * CELL])
    assert torch.allclose(better[..., 6 * CELL :], (rows + form)[..., 6 * CELL :], atol=1e-5)
