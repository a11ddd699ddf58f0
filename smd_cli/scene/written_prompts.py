"""Every prompt that a scene writes, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from smd_cli.scene.schema import Scene
from smd_cli.scene.tree import Loc

PREFIX: Loc = ("negative_prefix",)
PROMPTS = ("prompt", "negative_prompt")


@dataclass(frozen=True)
class WrittenPrompt:
    """A prompt as a scene writes it: its place, what it is of (`region 'boy'`), the text."""

    loc: Loc
    owner: str
    text: str

    @property
    def is_negative(self) -> bool:
        """Tell whether the scene's `negative_prefix` goes before it."""
        return self.loc[-1] == "negative_prompt"


def written_prompts(scene: Scene) -> Iterator[WrittenPrompt]:
    """Yield the prompts of a scene that are not empty, those of keyframes last."""
    if scene.negative_prefix:
        yield WrittenPrompt(PREFIX, "negative_prefix", scene.negative_prefix)
    yield from _of("the background", scene.background, "background")
    for index, region in enumerate(scene.regions):
        yield from _of(f"region {region.name!r}", region, "regions", index)
    for index, keyframe in enumerate(scene.stream.timeline):
        place = ("stream", "timeline", index)
        yield from _of(f"region {keyframe.region!r}", keyframe, *place)
        if keyframe.background is not None:
            yield from _of("the background", keyframe.background, *place, "background")


def _of(owner: str, section: object, *loc: str | int) -> Iterator[WrittenPrompt]:
    for key in PROMPTS:
        if text := getattr(section, key):
            yield WrittenPrompt((*loc, key), owner, text)
