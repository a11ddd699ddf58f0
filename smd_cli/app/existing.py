"""Files that exist already: whether one is the picture that is to be made, or another. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from smd_cli.app.captions import captioned
from smd_cli.app.model_spec import at_model, find_model
from smd_cli.app.recipes import build_recipe, with_seed
from smd_cli.app.reports import WrittenFile
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import MAX_BATCH, RenderSettings
from smd_cli.engine.events import Listener, Noted, ignore_events
from smd_cli.errors import AssetError, UsageError
from smd_cli.media.files import Existing, check_target
from smd_cli.media.frame_files import FIRST_FRAME
from smd_cli.media.images import report_read_errors
from smd_cli.media.recipe import LATENT_VALUES, Recipe, read_recipe
from smd_cli.media.sinks import AdmitAt, Target, check_sink, recipe_file
from smd_cli.media.sources import count_frames
from smd_cli.media.stills import is_cut_off
from smd_cli.models.assets import Assets
from smd_cli.models.hub import go_offline
from smd_cli.scene.resolve import Size

Coming = Callable[[], Recipe | None]
GIVE_ANOTHER = "give another name"
LONGEST = {
    "device": "x" * 64,
    "dtype": "bfloat16",
    "batch": MAX_BATCH,
    "threads": 10**4,
    "deterministic": False,
    "memory": "medium",
    "weights": "full",
}
"""What recipes say of a computation, at its longest: whether a file has room is checked before any work."""
LONGEST_LATENTS = f"{LATENT_VALUES}x1x1:" + "x" * (4 * -(-2 * LATENT_VALUES // 3))  # float16 in base64
_SHOWN = 3  # differences


class ComingRecipes:
    """The recipes that a scene's pictures will have; the model's files are looked for once, if at all.

    Without `may_fetch`, they may not be fetched, and no caption is made.
    """

    def __init__(self, scene: OpenedScene, settings: RenderSettings, *, may_fetch: bool = True) -> None:
        self._opened = scene
        self._settings = settings
        self._may_fetch = may_fetch

    def of(self, seed: int) -> Recipe:
        """Return the recipe of a seed's picture, without its pixels. Raises AssetError: a file is missing."""
        return with_seed(self._recipe, seed)

    def texts(self, seed: int) -> dict[str, str]:
        """Return what the file of a seed's picture will carry. Raises as `of`."""
        return replace(self.of(seed), pixels=64 * "0", computation=LONGEST, latents=LONGEST_LATENTS).texts()

    @cached_property
    def _recipe(self) -> Recipe:
        return build_recipe(self._scene, self._scene.plan.seed, self._assets)

    @cached_property
    def _scene(self) -> OpenedScene:
        if self._may_fetch:
            return captioned(self._opened, self._settings, ignore_events)
        if self._opened.plan.model.captioner:
            text = "is a caption, which a dry run does not make; what the picture will be is not known"
            raise UsageError(self._opened.locate("background", "prompt").says(text))
        return self._opened

    @cached_property
    def _assets(self) -> Assets:
        offline = self._settings.offline or not self._may_fetch
        if offline:
            go_offline()
        with at_model(self._opened):
            return find_model(self._opened.plan, offline=offline)


def check_picture(path: Path, existing: Existing, coming: Coming, *, hint: str = GIVE_ANOTHER) -> bool:
    """Tell, before any work, whether a picture is to be written (False: it is there already, and stays).

    `coming` gives its recipe, None where metadata is left out; `hint` is what the user can do about a file
    that must stay.

    Raises UsageError: as `check_target`; or the file is another picture, or cannot be compared.
    """
    check_target(path, again(existing), hint=hint)
    return _is_to_be_made(path, existing, coming, hint)


def check_stream(target: Target, existing: Existing, coming: Coming, *, hint: str = GIVE_ANOTHER) -> bool:
    """Tell the same of a stream, before any work. Raises as `check_sink` and `check_picture`."""
    check_sink(target, again(existing), hint=hint)
    path = recipe_file(target)
    return path is None or _is_to_be_made(path, existing, coming, hint)


def is_whole(target: Target, frames: int, listener: Listener) -> bool:
    """Tell whether a stream that is there has all of its frames; one that was cut short is told of."""
    found = count_frames(Path(str(target)))
    if found < frames:
        listener(Noted(f"{target}: has {found} of {frames} frames; rendered again"))
    return found >= frames


def is_whole_picture(path: Path, listener: Listener) -> bool:
    """Tell whether a picture that is there has its end; one that was cut off is told of."""
    with report_read_errors(path):
        cut_off = is_cut_off(path)
    if cut_off:
        listener(Noted(f"{path}: is cut off; rendered again"))
    return not cut_off


def admission(target: Target, existing: Existing, coming: Coming, *, hint: str = GIVE_ANOTHER) -> AdmitAt:
    """Return what looks at files that appear while a stream is written; raises as `check_stream`."""
    carrier, policy = recipe_file(target), again(existing)

    def admit(path: Path) -> None:
        if path == carrier:
            check_picture(path, policy, coming, hint=hint)
        else:
            check_target(path, policy, hint=hint)

    return admit


def existing_file(target: Path | str, seed: int, size: Size) -> WrittenFile:
    """Describe a picture or stream that is there as if it had just been written."""
    path = Path(target)
    recipe = read_recipe(path / FIRST_FRAME if path.is_dir() else path)
    return WrittenFile.at(str(target), seed, recipe.pixels, size)


def again(existing: Existing) -> Existing:
    """Return how a file is looked at once it is known that its picture is to be made.

    One that is skipped could be another picture, so it is looked at like one to be replaced.
    """
    return {Existing.SKIP: Existing.REPLACE_OWN, Existing.UPDATE: Existing.OVERWRITE}.get(existing, existing)


def _is_to_be_made(path: Path, existing: Existing, coming: Coming, hint: str) -> bool:
    if existing in (Existing.OVERWRITE, Existing.FAIL) or not path.exists():
        return True
    problem = _why_another(path, coming)
    if problem and existing is not Existing.UPDATE:
        raise UsageError(f"{problem}; {hint}")
    return bool(problem) or existing is Existing.REPLACE_OWN


def _why_another(path: Path, coming: Coming) -> str:
    """Tell why a file is not known to be the picture that is to be made; an empty text: it is."""
    try:
        there = read_recipe(path)
    except AssetError as error:
        return f"{error}, so it cannot be compared"
    recipe = coming()
    if recipe is None:
        return f"{path}: exists, and cannot be compared with a picture without metadata"
    if not (differences := there.differences(recipe)):
        return ""
    more = f" and {len(differences) - _SHOWN} more" * (len(differences) > _SHOWN)
    return f"{path}: is another picture: {', '.join(differences[:_SHOWN])}{more}"
