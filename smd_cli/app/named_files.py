"""The files that a scene names, its pictures and the weights of its model, and their digests.

Knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.digests import digest_of
from smd_cli.errors import AssetError
from smd_cli.media.frame_files import frame_files
from smd_cli.messages import Message
from smd_cli.scene.mask_specs import FileMask
from smd_cli.scene.paths import Reference
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import Loc, dotted

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.models.assets import Assets

_CHANGED = "is not the file that the recipe was made with"


@dataclass(frozen=True)
class NamedFile:
    """What a scene names at one place.

    Attributes:
        loc: the place, for `locate`.
        what: it is, for messages.
        name: as recipes write it; empty for what the scene leaves to the model.
        files: one, or those of a model in folders, or of a folder of frames.
        region: the name of the region that has it, if one has.
    """

    loc: Loc
    what: str
    name: str
    files: tuple[Path, ...]
    region: str = ""

    @property
    def key(self) -> str:
        """Return the place as `--set` names it, a region by its name: under it, recipes keep the digest."""
        return f"regions[{self.region}].{self.loc[-1]}" if self.region else dotted(self.loc)

    @property
    def sha256(self) -> str:
        """Return the digest (see `digest_of`). Raises AssetError: a file cannot be read."""
        try:
            return digest_of(self.files)
        except OSError as error:
            raise AssetError(f"{error.filename}: cannot be read: {error.strerror}") from error


def picture_files(plan: Plan) -> Iterator[NamedFile]:
    """Yield the pictures and films that a scene names. Raises AssetError: a folder has no frames."""
    if image := plan.background.image:
        yield _picture(("background", "image"), "the background picture", image)
    for index, region in enumerate(plan.regions):
        if isinstance(region.mask, FileMask):
            what = f"the mask of region {region.name!r}"
            yield _picture(("regions", index, "mask"), what, region.mask.image, region.name)
    if plan.task != "stream":
        return
    if frames := plan.stream.input:
        files = tuple(frame_files(frames.path))
        yield NamedFile(("stream", "input"), "the stream's input", frames.portable, files)
    for index, keyframe in enumerate(plan.stream.timeline):
        mask, loc = keyframe.get("mask"), ("stream", "timeline", index)
        if isinstance(mask, FileMask):
            yield _picture((*loc, "mask"), "the mask of a keyframe", mask.image)
        if image := keyframe.get("image"):
            yield _picture((*loc, "background", "image"), "the background picture of a keyframe", image)


def model_files(plan: Plan, assets: Assets) -> Iterator[NamedFile]:
    """Yield the weights that a scene's model has from each place of `model`; `assets` are its files."""
    model, vae = plan.model, assets.components[assets.family.autoencoder].weights if plan.model.vae else ()
    own = tuple(path for path in assets.weights if path not in vae)
    yield NamedFile(("model", "base"), "the model's weights", model.base.portable, own)
    if model.vae:
        yield NamedFile(("model", "vae"), "the autoencoder", model.vae.portable, vae)
    for index, (path, _) in enumerate(assets.loras):
        if index < len(model.loras):
            name = model.loras[index].path.portable
            yield NamedFile(("model", "loras", index), "the LoRA", name, (path,))
        else:
            name = model.lcm_lora.portable if model.lcm_lora else ""
            yield NamedFile(("model", "lcm_lora"), "the LCM-LoRA", name, (path,))
    for index, inversion in enumerate(assets.textual_inversions):
        loc, name = ("model", "textual_inversions", index), model.textual_inversions[index].path.portable
        yield NamedFile(loc, "the textual inversion", name, (inversion.path,))


def digests_of(files: Iterable[NamedFile]) -> dict[str, str]:
    """Return the digests of files by their places. Raises AssetError: one cannot be read."""
    return {file.key: file.sha256 for file in files}


def changed_files(scene: OpenedScene, assets: Assets | None = None) -> list[Message]:
    """Compare the files that a scene names with its `digests`; return a message for each that differs.

    Without `assets`, the files of its model, those are left out. Raises AssetError: a file cannot be read.
    """
    wanted = {key: value for key, value in scene.digests.items() if assets or not key.startswith("model.")}
    if not wanted:
        return []
    named = [*picture_files(scene.plan), *(model_files(scene.plan, assets) if assets else ())]
    changed = [
        scene.locate(*file.loc).says(f"{file.what}{file.name and f', {file.name},'} {_CHANGED}")
        for file in named
        if file.key in wanted and _digest(file, scene) != wanted[file.key]
    ]
    places = [file.key for file in named]
    unused = [key for key in wanted if key not in places]
    return [*changed, *(scene.locate("digests").says(f"the scene names no file at {key}") for key in unused)]


def _digest(file: NamedFile, scene: OpenedScene) -> str:
    try:
        return file.sha256
    except AssetError as error:
        raise error.at(scene.locate(*file.loc)) from error


def _picture(loc: Loc, what: str, image: Reference, region: str = "") -> NamedFile:
    return NamedFile(loc, what, image.portable, (image.path,), region)
