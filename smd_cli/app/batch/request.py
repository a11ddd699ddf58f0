"""What a batch is to make, and how. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smd_cli.app.existing import GIVE_ANOTHER
from smd_cli.app.origin import Source
from smd_cli.app.settings import RenderSettings
from smd_cli.media.files import Existing
from smd_cli.scene.matrix import Point
from smd_cli.scene.overrides import Override


@dataclass(frozen=True)
class Request:
    """What is to be made, and how.

    Attributes:
        scenes: the path of a scene or of several, or what else `load_scene` opens.
        seeds: for each scene; empty: its own.
        overrides: changes to each scene, as `load_scene` takes them.
        points: of a matrix for each scene; empty: its own.
        task: what scenes are opened for that name none.
        output: the file of the only picture; None: each has a name.
        output_dir: where files go that have names.
        name: a template of their names; None: by scene and seed, and what a matrix sets.
        settings: of the renderers.
        existing: what is done about files that lie there.
        hint: what the user can do about one that must stay.
        may_fetch: whether a model may be fetched for its hash in a name.
        fail_fast: begin nothing after a job has failed.
    """

    scenes: Source | Sequence[Source]
    seeds: Sequence[int] = ()
    overrides: Mapping[str, Any] | Sequence[Override] = ()
    points: Sequence[Point] = ()
    task: str | None = None
    output: str | None = None
    output_dir: str | Path = Path()
    name: str | None = None
    settings: RenderSettings = field(default_factory=RenderSettings)
    existing: Existing = Existing.REPLACE_OWN
    hint: str = GIVE_ANOTHER
    may_fetch: bool = True
    fail_fast: bool = False

    @property
    def sources(self) -> Sequence[Source]:
        """The scenes, also where there is one alone."""
        return (self.scenes,) if isinstance(self.scenes, str | Path | Mapping) else self.scenes
