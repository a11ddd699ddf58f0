"""Rendering the pictures of a run: one that fails does not keep the others from being made."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.cli import options
from smd_cli.cli.console import print_error, print_result
from smd_cli.cli.document import document
from smd_cli.engine.events import Listener, Noted, PictureStarted
from smd_cli.errors import PartialError, SmdError, UsageError
from smd_cli.interrupts import finishing
from smd_cli.media.files import Existing
from smd_cli.messages import Message, Place

if TYPE_CHECKING:
    from smd_cli.app.renderer import Renderer
    from smd_cli.app.rendering import RenderedPicture
    from smd_cli.app.reports import WrittenFile
    from smd_cli.app.scenes import OpenedScene

Target = tuple[int, Path]  # a seed and its file
_OF_ONE_FILE = {errno.EFBIG, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


@dataclass
class Pictures:
    """The pictures of a run: those to make, and what became of them.

    Attributes:
        scene: what they show.
        targets: seeds and files.
        existing: what is done about files that lie there by the time that a picture is made.
        listener: hears which picture begins, and notes.
        prints_paths: whether the path of each goes to stdout as soon as its file is there.
        outputs: the files that have been written.
        failures: the errors of pictures that have not.
        last: the picture rendered last.
    """

    scene: OpenedScene
    targets: list[Target]
    existing: Existing
    listener: Listener
    prints_paths: bool
    outputs: list[WrittenFile] = field(default_factory=list)
    failures: list[SmdError] = field(default_factory=list)
    last: RenderedPicture | None = None

    def make(self, renderer: Renderer) -> None:
        """Render and write them. Raises SmdError: what would fail for every picture; or there is only one."""
        for index, (seed, path) in enumerate(self.targets, start=1):
            self.listener(PictureStarted(index, len(self.targets)))
            with self._noted(seed, path):
                self.last = renderer.render(self.scene, seed=seed)
                with finishing():
                    self._write(self.last, path)

    def check_whole(self) -> None:
        """Raise PartialError where some of several pictures failed; where all did, what most are like."""
        if not self.failures:
            return
        failed, tried = len(self.failures), len(self.targets)
        if self.outputs:
            raise PartialError(f"{failed} of {tried} pictures failed; the others are written")
        raise type(self.failures[0])(f"all {tried} pictures failed")

    def _write(self, picture: RenderedPicture, path: Path) -> None:
        from smd_cli.app.existing import check_picture, existing_file

        coming = lambda: picture.recipe  # noqa: E731 - of one that is skipped
        look = partial(check_picture, path, self.existing, coming, hint=options.REPLACING)
        if self.existing is Existing.SKIP and path.exists() and not look():
            self.listener(Noted(f"{path}: exists, skipped"))
            there = existing_file(path, picture.seed, picture.image.size)
            document().add(skipped=[*document().parts["skipped"], asdict(there)])
            return
        self.outputs.append(picture.save_as(path, self.existing, hint=options.REPLACING))
        document().add(outputs=[*document().parts["outputs"], asdict(self.outputs[-1])])
        if self.prints_paths:
            print_result(str(path))

    @contextmanager
    def _noted(self, seed: int, path: Path) -> Iterator[None]:
        """Print the error of one picture of several, and go on."""
        try:
            yield
        except SmdError as error:
            if len(self.targets) == 1:
                raise
            if concerns_all(error):
                self.listener(Noted(f"{len(self.outputs)} of {len(self.targets)} pictures are written"))
                raise
            failure = type(error)(*(_told(problem, seed, path) for problem in error.problems))
            print_error(failure)
            document().problems += failure.problems
            self.failures.append(failure)


def concerns_all(error: SmdError) -> bool:
    """Tell whether what ended a picture would end the others too: the model, the device, the disk."""
    if isinstance(error.__cause__, OSError):
        return error.__cause__.errno not in _OF_ONE_FILE
    return type(error) not in (SmdError, UsageError)


def _told(problem: Message, seed: int, path: Path) -> Message:
    """Return a problem with the picture that it is of."""
    return Place.of_file(path).says(f"seed {seed}: {problem.removeprefix(f'{path}: ')}")
