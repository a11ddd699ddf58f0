"""The side of a scene's tiles on a model. Knows no torch."""

from smd_cli.errors import SceneError
from smd_cli.models.facts import ModelFacts
from smd_cli.scene.resolve import Plan


def tile_side(plan: Plan, facts: ModelFacts) -> int:
    """Return the side of a tile in px.

    Raises SceneError: the canvas wraps and is narrower than that.
    """
    tile = facts.native_size if plan.sampler.tile == "native" else plan.sampler.tile
    if plan.canvas.wraps and plan.canvas.width < tile:
        raise SceneError(
            f"{plan.canvas.width} px cannot close into a ring of tiles of {tile} px; make the canvas "
            "wider, or set sampler.tile"
        )
    return tile
