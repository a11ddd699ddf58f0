"""What a model tells to the scenes that name it, before any weight is read: its family, and its defaults.

Knows no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from smd_cli.errors import AssetError, SceneError
from smd_cli.families import FAMILIES
from smd_cli.messages import Message, Place
from smd_cli.models.choice import config_names, is_model_folder
from smd_cli.models.configs import DEFAULTS
from smd_cli.models.files import Files
from smd_cli.models.recognise import recognise_file, recognise_folder
from smd_cli.models.sources import open_files
from smd_cli.regular_files import is_directory, read_text, why_unread
from smd_cli.scene.model_section import ANY_FAMILY, Model
from smd_cli.scene.recommended import MAX_BYTES, Advice, read_recommended
from smd_cli.scene.tree import Node


class BadDefaultsError(AssetError):
    """A model's author recommends what no scene can have."""


_UNKNOWN = Advice(is_known=False)


@dataclass
class ModelAdviser:
    """Asks models, each once.

    Of the hub it looks into the cache alone, if `offline`; else what is not here of configs is fetched.
    """

    offline: bool
    _asked: dict[tuple[str, str], Advice] = field(default_factory=dict, repr=False)

    def __call__(self, model: Model, base_dir: Path) -> Advice:
        """Ask a scene's model. Raises AssetError: what its author recommends is no good."""
        source = model.base.at(base_dir).source
        key = source, model.family
        if key not in self._asked:
            self._asked[key] = self._ask(source, model)
        return self._asked[key]

    def _ask(self, source: str, model: Model) -> Advice:
        try:
            return advice_of(open_files(source, offline=self.offline), model.base.text, model.family)
        except BadDefaultsError:
            raise
        except (AssetError, OSError):  # which looking for the model tells
            return _UNKNOWN


def advice_of(files: Files, called: str, family: str = ANY_FAMILY) -> Advice:
    """Ask a model that a scene calls so, and says to be of a family; configs are fetched.

    Raises AssetError: its files cannot be had; BadDefaultsError: what its author recommends is no good.
    """
    if not is_model_folder(files):
        return _of_file(files)
    folder = files.fetch(config_names(files))
    found = _supported(recognise_folder, folder)
    named = found if family == ANY_FAMILY else family
    has_settings = DEFAULTS in files or is_directory(folder / DEFAULTS)
    return Advice(found, _settings(folder, called, named) if has_settings else None)


def _of_file(files: Files) -> Advice:
    """Return what a checkpoint tells that is one file: its family, where it is here."""
    if not files.file or not files.look(files.file).is_here:
        return _UNKNOWN
    (path,) = files.get(files.file)
    return Advice(_supported(recognise_file, path))


def _supported(recognise: Callable[[Path], str], path: Path) -> str:
    """Return the family that is recognised; `auto` where it is none that this program runs."""
    try:
        found = recognise(path)
    except (AssetError, OSError):  # which looking for the model tells
        return ANY_FAMILY
    return found if found in FAMILIES else ANY_FAMILY


def _settings(folder: Path, called: str, family: str) -> Node:
    """Read what a model folder recommends. Raises BadDefaultsError: the first problem of it, in one line."""
    name = f"{called}/{DEFAULTS}"
    try:
        return read_recommended(read_text(folder / DEFAULTS, MAX_BYTES), name, family)
    except OSError as error:
        problem = Place(name).says(why_unread(error))
    except ValueError as error:
        problem = Place(name).says(str(error))
    except SceneError as error:
        first, *others = error.problems
        more = f" (and {len(others)} more)" if others else ""
        problem = Message(f"{first.text}{more}", first.place)
    raise BadDefaultsError(problem, parts=[("base",)])
