"""The recipe of a small scene, for tests of the files that carry it."""

from smd_cli.media.recipe import Recipe


def small_recipe(background: dict[str, str], *regions: dict[str, str]) -> Recipe:
    """The recipe of a background and regions, each a prompt and a negative prompt."""
    return Recipe(
        scene={
            "task": "generate",
            "seed": 5,
            "model": {"base": "flatland"},
            "canvas": {"width": 64, "height": 128},
            "sampler": {"indices": [0, 25], "kind": "lcm", "guidance_scale": 1.0},
            "background": background,
            "regions": [{"name": str(index), **region} for index, region in enumerate(regions)],
        },
        family="sd15",
        revision="",
        digests={"model.base": "ab" * 32},
        versions={"smd-cli": "0.1.0"},
    )
