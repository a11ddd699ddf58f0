"""LoRAs on one region for models of every family: a row has what the fused model predicts, others nothing."""

import pytest
import torch

from smd_cli.engine.encoder import CachedEncoder
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.loading import load
from smd_cli.models.local_loras import with_lora_table
from tests.checkpoints import klein, sd3, sdxl, zimage
from tests.core.models import model_input

CPU = torch.device("cpu")
FAMILIES = {"sdxl": sdxl, "sd3": sd3, "klein": klein, "zimage": zimage}
WEIGHT = 0.7
PROMPTS = ("a cat", "a house on a hill, snow, a very long road to it " * 3)


def loaded(folder, **choices):
    return load(locate(ModelSpec(str(folder), **choices), offline=True), CPU, torch.float32)


def predict(backbone, rows):
    encoder, facts = CachedEncoder(backbone), backbone.facts
    parts = [encoder.encode_prompts([text], row) for text, row in zip(PROMPTS, rows, strict=True)]
    table = backbone.prepare(with_lora_table(Conditioning.joined(parts), rows))
    shape = 2, facts.latent_channels, 8, 8
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    return backbone.predict(model_input(latents, torch.tensor([700.0, 300.0])), table)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_row_has_it_and_the_other_has_not(name, tmp_path):
    folder = FAMILIES[name].make_folder(tmp_path / "model")
    lora = str(FAMILIES[name].make_lora(tmp_path))
    without, fused = (
        predict(loaded(folder), [(), ()]),
        predict(loaded(folder, loras=((lora, WEIGHT),)), [(), ()]),
    )
    local = loaded(folder, local_loras=(lora,))
    assert (without - fused).abs().max() > 1e-3 * without.abs().max()
    for rows in ([(WEIGHT,), ()], [(), (WEIGHT,)], [(WEIGHT,), (WEIGHT,)], [(), ()]):
        got = predict(local, rows)
        for place, row in enumerate(rows):
            torch.testing.assert_close(got[place], (fused if row else without)[place], rtol=2e-4, atol=2e-4)
