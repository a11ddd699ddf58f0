"""The files and models that a scene names: where they lie, and how recipes name them without telling that."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from smd_cli.references import WEIGHTS, is_path
from smd_cli.regular_files import is_there
from smd_cli.scene.values import PRINTABLE

_VARIABLE = re.compile(r"\$\w|\$\{|%\w+%")


@dataclass(frozen=True)
class Reference:
    """A file, a folder, a pattern or a model, as a scene names it.

    Attributes:
        text: what the scene says. A relative path starts at `base_dir`; `~` is a home.
        base_dir: the scene's folder, once a plan is made; until then the working directory.
    """

    text: str
    base_dir: Path = Path()

    @property
    def path(self) -> Path:
        """Return the absolute path of what must be a file or folder."""
        home = os.path.expanduser(self.text)  # noqa: PTH111 - Path's raises where there is no such home
        return (self.base_dir / home).absolute()

    @property
    def source(self) -> str:
        """Return a model: an absolute path, where the text can only be one or leads to something, or a name.

        A name is that of an embedded model, or of a place on the hub. A bare word is a path only to a folder
        that holds a model, so that one that happens to be called like an embedded model does not hide it.
        """
        path = self.path
        is_local = is_there(path) if "/" in self.text else _holds_model(path)
        return str(path) if is_path(self.text) or is_local else self.text

    @property
    def portable(self) -> str:
        """Return the text as a recipe writes it, without a folder that only this machine has.

        An absolute path becomes one from the scene's folder where it lies in there, else the bare name.
        """
        if not self.is_absolute:
            return self.text
        inside = Path(os.path.relpath(self.path, self.base_dir.absolute()))
        return f"./{inside.name if inside.parts[:1] == ('..',) else inside}"

    def at(self, base_dir: Path) -> Reference:
        """Return the reference of a scene in a folder."""
        return replace(self, base_dir=base_dir)

    def seen_from(self, base_dir: Path) -> str:
        """Return how a scene in `base_dir` names the same file.

        It is a relative path where that names no folder that the text does not name, else an absolute one.
        """
        if self.is_absolute or self.base_dir.absolute() == base_dir.absolute():
            return self.text
        relative = Path(os.path.relpath(self.path, base_dir.absolute()))
        named = [part for part in relative.parts if part != ".."]
        written = Path(os.path.normpath(self.text)).parts
        tells_more = named != list(written[len(written) - len(named) :])
        # Where folders are links, the two can differ.
        if tells_more or (base_dir / relative).resolve() != self.path.resolve():
            return str(self.path)
        return str(relative) if relative.parts[:1] == ("..",) else f"./{relative}"

    @property
    def is_absolute(self) -> bool:
        """Tell whether the text leads to the same place from every folder: a home's path does too."""
        return os.path.isabs(os.path.expanduser(self.text))  # noqa: PTH111, PTH117 - as in `path`

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """Read it from a text of a scene, and write it as a recipe does."""
        text = core_schema.str_schema(strict=True, min_length=1, max_length=4096, pattern=PRINTABLE)
        return core_schema.no_info_after_validator_function(
            cls, text, serialization=core_schema.plain_serializer_function_ser_schema(_portable)
        )


def _holds_model(folder: Path) -> bool:
    """Tell whether files of a model lie in a folder, as far as a look at its names tells."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are enough
    except (OSError, ValueError):  # of a name that no file can have
        return False
    signs = {"model_index.json", "config.json", "unet"}
    return any(name in signs or name.endswith(WEIGHTS) for name in names)


def _portable(reference: Reference) -> str:
    return reference.portable


def why_missing(path: str) -> str:
    """Return what is likely wrong with a path where there is no file: the end of a message, often empty."""
    if os.sep == "/" and "\\" in path:
        return "; folders are separated by /"
    if _VARIABLE.search(path):
        return "; environment variables are not read in a scene"
    return "; the curly quotes are part of the name" if re.search("[“”„]", path) else ""
