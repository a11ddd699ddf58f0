"""Pictures whose recipes say anything: `smd verify` judges them or says why it cannot, and never breaks."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import smd_cli
from smd_cli.app.latents import cosine_similarity
from smd_cli.app.verification.claims import claims_of
from smd_cli.app.verification.computation import Computation, Wanted
from smd_cli.app.verification.criterion import Criterion
from smd_cli.app.verification.judge import Evidence
from smd_cli.errors import SmdError
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import CHUNK

pytestmark = pytest.mark.hostile
JUNK = (
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    {"a": 1},
    "cpu (",
    "1x1x1:AAAA",
    "9x9x9:",
)
TIMES = 300
SCENE = {
    "smd": 1,
    "canvas": {"width": 64, "height": 64},
    "sampler": {"indices": [0, 25]},
    "background": {"prompt": "sunset"},
    "regions": [{"name": "sun", "prompt": "the sun", "mask": {"box": [0, 0, 0.5, 0.5]}}],
}


def places(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to every value within plain data."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield (*place, key)
        yield from places(data[key], (*place, key))


def changed(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return data of which one value is junk or gone."""
    data = copy.deepcopy(data)
    *above, last = rng.choice(list(places(data)))
    inside: Any = data
    for key in above:
        inside = inside[key]
    if rng.random() < 0.2:
        del inside[last]
    else:
        inside[last] = rng.choice(JUNK)
    return data


def prepare(path: Path, criterion: Criterion, latents: str) -> None:
    """Do all that verifying does before it renders, and compare the latents."""
    (claim,) = claims_of(path)
    hash((Computation.of(claim, Wanted()), claim.model))
    scene = claim.open()
    Evidence.of(claim, criterion, is_film=scene.plan.task == "stream")
    if criterion.metric == "latent":
        try:
            cosine_similarity(claim.latents or "", latents)
        except ValueError as error:
            raise SmdError(str(error)) from error


def test_a_recipe_of_any_content_is_judged_or_refused(tmp_path):
    with smd_cli.Renderer(device="cpu") as renderer:
        picture = renderer.render(smd_cli.load_scene(SCENE))
    path = tmp_path / "a.png"
    picture.save(path)
    with Image.open(path) as image:
        data = json.loads(image.text[CHUNK])
    rng, refused = random.Random(23), 0
    for _ in range(TIMES):
        path.write_bytes(encode_png(picture.image, {CHUNK: json.dumps(changed(data, rng))}))
        try:
            prepare(path, Criterion.of(rng.choice(["pixels", "latent"])), picture.recipe.latents)
        except SmdError:
            refused += 1
    assert TIMES / 4 < refused < TIMES
