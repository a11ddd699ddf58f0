"""The files that a scene names, its pictures and the weights of its model, and their digests.

Knows no torch.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.app.model_spec import local_loras
from smd_cli.digests import digest_of, digest_of_list, digest_of_named
from smd_cli.errors import AssetError
from smd_cli.media.frame_files import frame_files
from smd_cli.messages import Message
from smd_cli.models.lora_choice import lora_files
from smd_cli.scene.mask_specs import FileMask
from smd_cli.scene.paths import Reference
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import Loc, dotted

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.models.assets import Assets

_LORA = re.compile(r"\.loras\[\d+\]$")
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
        labels: what each of several files of different kinds is; empty where their order tells it.
        is_list: they are frames of a folder, however many there are.
        taken: digests that were taken before and count still, by what they were taken of.
        reference: to a picture or film; None: to a part of a model.
    """

    loc: Loc
    what: str
    name: str
    files: tuple[Path, ...]
    region: str = ""
    labels: tuple[str, ...] = ()
    is_list: bool = False
    taken: dict[Hashable, str] = field(default_factory=dict, repr=False, compare=False)
    reference: Reference | None = None

    @property
    def key(self) -> str:
        """Return the place as `--set` names it, a region by its name: under it, recipes keep the digest."""
        if not self.region:
            return dotted(self.loc)
        return f"regions[{self.region}].{dotted(self.loc[2:])}"

    @property
    def sha256(self) -> str:
        """Return the digest: of files with labels that of `digest_of_named`, else that of `digest_of`.

        Raises AssetError: a file cannot be read.
        """
        what = self.labels, self.files
        if what not in self.taken:
            try:
                self.taken[what] = self._digest()
            except OSError as error:
                raise AssetError(f"{error.filename}: cannot be read: {error.strerror}") from error
        return self.taken[what]

    def _digest(self) -> str:
        if self.labels:
            return digest_of_named(dict(zip(self.labels, self.files, strict=True)))
        if self.is_list:
            return digest_of_list([digest_of([path]) for path in self.files])
        return digest_of(self.files)


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
        is_list = files != (frames.path,)
        what = "the stream's input"
        yield NamedFile(("stream", "input"), what, frames.portable, files, is_list=is_list, reference=frames)
    for index, keyframe in enumerate(plan.stream.timeline):
        mask, loc = keyframe.get("mask"), ("stream", "timeline", index)
        if isinstance(mask, FileMask):
            yield _picture((*loc, "mask"), "the mask of a keyframe", mask.image)
        if image := keyframe.get("image"):
            yield _picture((*loc, "background", "image"), "the background picture of a keyframe", image)


def model_files(plan: Plan, assets: Assets) -> Iterator[NamedFile]:
    """Yield the files that a scene's model has from each place of `model`; `assets` are its files.

    What is read of it beside weights, configs and tokenizers, stands at `model.config`. Digests are kept with
    the assets.
    """
    model, vae = plan.model, assets.components[assets.family.autoencoder].weights if plan.model.vae else ()
    named = partial(NamedFile, taken=assets.digests)
    lent = assets.lent_weights
    own = tuple(path for path in assets.weights if path not in (*vae, *lent.values()))
    yield named(("model", "base"), "the model's weights", model.base.portable, own)
    if model.vae:
        yield named(("model", "vae"), "the autoencoder", model.vae.portable, vae)
    texts, config = {**assets.texts, **lent}, model.config.portable if model.config else ""
    what = "the model's config or tokenizer"
    yield named(("model", "config"), what, config, tuple(texts.values()), labels=tuple(texts))
    for index, files in enumerate(assets.lora_files):
        if index < len(model.loras):
            name = model.loras[index].path.portable
            yield named(("model", "loras", index), "the LoRA", name, files)
        else:
            name = model.lcm_lora.portable if model.lcm_lora else ""
            yield named(("model", "lcm_lora"), "the LCM-LoRA", name, files)
    yield from _local_loras(plan, assets)
    for index, inversion in enumerate(assets.textual_inversions):
        loc, name = ("model", "textual_inversions", index), model.textual_inversions[index].path.portable
        yield named(loc, "the textual inversion", name, (inversion.path,))


def _local_loras(plan: Plan, assets: Assets) -> Iterator[NamedFile]:
    """Yield the files of the LoRAs of single regions, at each place that names them."""
    for loc, lora in local_loras(plan):
        region = plan.regions[int(loc[1])].name if loc[0] == "regions" else ""
        files = lora_files(assets.local_loras[lora.path.source])
        yield NamedFile(loc, "the LoRA", lora.path.portable, files, region, taken=assets.digests)


def digests_of(files: Iterable[NamedFile]) -> dict[str, str]:
    """Return the digests of files by their places. Raises AssetError: one cannot be read."""
    return {file.key: file.sha256 for file in files}


def changed_files(scene: OpenedScene, assets: Assets | None = None) -> list[Message]:
    """Compare the files that a scene names with its `digests`; return a message for each that differs.

    Without `assets`, the files of its model, those are left out. Raises AssetError: a file cannot be read.
    """
    wanted = {key: value for key, value in scene.digests.items() if assets or not _is_of_model(key)}
    if not wanted:
        return []
    named = [*picture_files(scene.plan), *(model_files(scene.plan, assets) if assets else ())]
    changed = [
        scene.locate(*file.loc).says(f"{file.what}{file.name and f', {file.name},'} {_CHANGED}")
        for file in named
        if file.key in wanted and digest_in(scene, file) != wanted[file.key]
    ]
    places = [file.key for file in named]
    unused = [key for key in wanted if key not in places]
    return [*changed, *(scene.locate("digests").says(f"the scene names no file at {key}") for key in unused)]


def _is_of_model(key: str) -> bool:
    """Tell whether a digest is that of a model's file."""
    return key.startswith("model.") or bool(_LORA.search(key))


def digest_in(scene: OpenedScene, file: NamedFile) -> str:
    """Return the digest of a file that a scene names. Raises AssetError, at its place: it cannot be read."""
    try:
        return file.sha256
    except AssetError as error:
        raise error.at(scene.locate(*file.loc)) from error


def _picture(loc: Loc, what: str, image: Reference, region: str = "") -> NamedFile:
    return NamedFile(loc, what, image.portable, (image.path,), region, reference=image)
