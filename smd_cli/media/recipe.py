"""The recipe that every picture carries: the scene, seed, model and masks that it was rendered from.

It is stored as texts of the file (see `media.texts`): `smd` holds all of it as JSON, `parameters` the short
form that other programs show. What is read back is data and is never executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from PIL import UnidentifiedImageError

from smd_cli.errors import AssetError
from smd_cli.media.images import check_file
from smd_cli.media.rasters import UNREADABLE
from smd_cli.media.recipe_changes import Change, changes, scene_changes
from smd_cli.media.recipe_content import CONFIG, content_digest, shaping_scene
from smd_cli.media.texts import read_texts
from smd_cli.media.xmp import EDITED, MADE, SOURCE_TYPE
from smd_cli.strict_json import parse

CHUNK = "smd"
VERSION = 2
LATENT_VALUES = 256
"""What the coarse copy of a picture's latents holds at most."""


class RecipeVersionError(ValueError):
    """A recipe is of a version that this program does not know."""


class Compared(NamedTuple):
    """What two recipes of pictures have of their own.

    Attributes:
        values: of their scenes, and the model's family.
        files: the places of other files.
        is_rendered_otherwise: whether the program's rendering versions differ.
    """

    values: list[Change]
    files: list[str]
    is_rendered_otherwise: bool


@dataclass(frozen=True)
class Recipe:
    """What a picture was rendered from. No value tells where on its machine that lay.

    Attributes:
        scene: the resolved scene of this picture, its seed and every default filled in.
        family: of the model.
        revision: the commit of a model from the hub, else empty.
        digests: SHA-256 of each file that the scene names, by its place in the scene, such as `model.base`,
            `model.loras[0]`, `background.image` or `regions[name].mask`.
        versions: of this program and of the libraries that it computes with.
        pixels: the picture's digest (see `pixel_digest`); None of a stream.
        computation: on what it was computed, in what precision, and what else its rounding depends on.
        rendering: the version of the way in which the program makes pictures (see `RENDERING_VERSION`).
        latents: a coarse copy of the picture's latents (see `coarse_text`); None of a stream.
    """

    scene: dict[str, Any]
    family: str
    revision: str
    digests: dict[str, str]
    versions: dict[str, str]
    pixels: str | None = None
    computation: dict[str, Any] = field(default_factory=dict)
    rendering: int = 1
    latents: str | None = None

    @property
    def seed(self) -> int:
        """Return the seed of this picture's noise."""
        return int(self.scene["seed"])

    @property
    def sha256(self) -> str:
        """Return the digest of what shapes the picture.

        That is its scene, the digests of the files that it names, whatever their names, the model's family
        and the rendering version.
        """
        scene = shaping_scene(self.scene, self.digests)
        return content_digest(self.rendering, self.family, scene, self.digests)

    def differences(self, now: Recipe) -> list[str]:
        """Return in short what shapes another picture now: `bootstrap.steps 3, now 2`; empty if nothing does.

        Versions, the model's revision and the pixels do not count: what they would change, digests tell.
        """
        found = self.compared(now)
        told = [
            *(change.told() for change in found.values),
            *(f"{place} is another file" for place in found.files),
        ]
        if found.is_rendered_otherwise:
            told.append(f"made by rendering version {self.rendering} of smd, now {now.rendering}")
        return told

    def compared(self, now: Recipe) -> Compared:
        """Return what shapes another picture now (see `differences`)."""
        known = self.digests.keys() & now.digests.keys()
        scenes = (shaping_scene(each.scene, known) for each in (self, now))
        found = [*changes({"family": self.family}, {"family": now.family}), *scene_changes(*scenes)]
        files = self.changed_files(now)
        if not found and not files:  # else there are other files because the scene is another
            files = sorted((self.digests.keys() ^ now.digests.keys()) - {CONFIG})
        return Compared(found, files, is_rendered_otherwise=self.rendering != now.rendering)

    def changed_files(self, now: Recipe) -> list[str]:
        """Return the places of which both recipes name a file, and not the same one."""
        return [place for place, digest in self.digests.items() if now.digests.get(place, digest) != digest]

    def rounding_differences(self, now: Recipe) -> list[str]:
        """Return in short what rounds another picture of the same scene otherwise: `threads 2, now 1`.

        Where this and `differences` are empty, both have the same pixels. What a recipe of before does not
        record does not count.
        """
        before, after = self.rounding, now.rounding
        return [change.told() for change in changes(before, {key: after.get(key) for key in before})]

    @property
    def rounding(self) -> dict[str, Any]:
        """Return what the rounding of pixels depends on, by name."""
        return self.computation | self.versions

    def to_scene(self) -> dict[str, Any]:
        """Return the scene that renders the picture again, where its files are the same."""
        return {**self.scene, "digests": self.digests}

    def to_data(self) -> dict[str, Any]:
        """Return the recipe as plain data, with the version that it is written in."""
        return {"recipe": VERSION, **asdict(self)}

    @classmethod
    def from_data(cls, data: Any) -> Self:  # noqa: ANN401 - whatever a file holds
        """Return the recipe that plain data is.

        Raises RecipeVersionError: it is of another version; ValueError: it is damaged.
        """
        try:
            if data["recipe"] != VERSION:
                raise RecipeVersionError("is of a version that this smd does not know")
            recipe = cls(**{key: value for key, value in data.items() if key != "recipe"})
            if type(recipe.rendering) is not int:
                raise ValueError("its rendering version is none")
            if type(recipe.latents) not in (str, type(None)):
                raise ValueError("its latents are no text")
            recipe.parameters()  # raises where a value that it needs is missing
            recipe.differences(recipe)
            recipe.rounding_differences(recipe)
            return recipe
        except (TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from error

    def to_json(self) -> str:
        """Return the recipe as one line of JSON."""
        return json.dumps(self.to_data(), ensure_ascii=False)

    def parameters(self) -> str:
        """Return the short form, of a line each: prompts, negative prompts, settings."""
        scene, sampler, canvas = self.scene, self.scene["sampler"], self.scene["canvas"]
        parts = [scene["background"], *scene["regions"]]
        prompts = _lines(part["prompt"] for part in parts)
        negatives = dict.fromkeys(_lines(part["negative_prompt"] for part in parts))
        settings = {
            "Steps": len(sampler["indices"]),
            "Sampler": sampler["kind"].upper(),
            "CFG scale": sampler["guidance_scale"],
            "Seed": self.seed,
            **({"Size": f"{canvas['width']}x{canvas['height']}"} if canvas else {}),
            "Model hash": self.digests["model.base"][:10],
            "Model": _quoted(scene["model"]["base"]),
            "Version": f"smd {self.versions['smd-cli']}",
        }
        lines = [" | ".join(prompts)]
        if negatives:
            lines.append("Negative prompt: " + " | ".join(negatives))
        lines.append(", ".join(f"{name}: {value}" for name, value in settings.items()))
        return "\n".join(lines)

    def computed(self) -> str:
        """Return in a line what rounding depends on (see `rounding_differences`)."""
        parts = self.rounding.items()
        return "Computed with: " + ", ".join(f"{name} {_plain(value)}" for name, value in parts)

    def texts(self) -> dict[str, str]:
        """Return both forms and the source type by the keyword of their text."""
        return {CHUNK: self.to_json(), "parameters": self.parameters(), SOURCE_TYPE: self._source_type()}

    def _source_type(self) -> str:
        """Tell whether a model made the picture, or edited pictures that it was given."""
        stream = self.scene["stream"] if self.scene["task"] == "stream" else {}
        changes = [keyframe.get("background", {}) for keyframe in stream.get("timeline", ())]
        pictures = [change.get("image") for change in (self.scene["background"], *changes)]
        return EDITED if stream.get("input") or any(pictures) else MADE


def carries_recipe(path: Path) -> bool:
    """Tell whether a file is a picture or film with a recipe, of whatever version."""
    try:
        return CHUNK in read_texts(path)
    except UNREADABLE:
        return False


def read_recipe(path: Path) -> Recipe:
    """Read the recipe of a picture or video.

    Raises AssetError: the file is missing or unreadable, or carries no recipe of a version that is known.
    """
    check_file(path)
    try:
        text = read_texts(path).get(CHUNK)
    except UnidentifiedImageError:
        hint = "; `smd check` reads scenes" if path.suffix.lower() in (".yaml", ".yml") else ""
        raise AssetError(f"{path}: is not a picture or film of a format that smd writes{hint}") from None
    except UNREADABLE as error:
        raise AssetError(f"{path}: not a readable picture ({error})") from error
    if text is None:
        raise AssetError(
            f"{path}: carries no smd recipe (was it saved with --no-metadata or by another program?)"
        )
    try:
        return Recipe.from_data(parse(text))
    except RecipeVersionError as error:
        raise AssetError(f"{path}: its recipe {error}") from error
    except ValueError as error:
        raise AssetError(f"{path}: its recipe is damaged ({error})") from error


def _lines(prompts: Iterable[str]) -> list[str]:
    """Return prompts without line ends, at which programs tell the sections of the short form apart."""
    return [line for prompt in prompts if (line := " ".join(prompt.split()))]


def _plain(value: Any) -> str:  # noqa: ANN401 - plain data
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: str) -> str:
    """Return a setting as those programs read it: in quotes where it holds what ends one."""
    return json.dumps(value, ensure_ascii=False) if re.search('[,:"]', value) else value
