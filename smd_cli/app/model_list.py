"""The models of this machine that have a name: the embedded ones, and those in the hub's cache. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smd_cli.errors import AssetError
from smd_cli.models.cache import CachedRepository, CachedRevision, cached_repositories
from smd_cli.models.sources import EMBEDDED, open_files
from smd_cli.models.survey import Sort, Survey, survey, survey_cached


@dataclass(frozen=True)
class ListedModel:
    """A model, a LoRA or another part of one on this machine.

    Attributes:
        reference: as a scene names it.
        sort: what it is.
        family: of models that it is, or is for; '' where that is not known.
        size: bytes.
        half: bytes of downloads that were cut off, beside these.
        is_whole: all that is read of it is there.
        revisions: of the hub, the last fetched first; none: it is embedded.
        path: its folder.
        last_used: when it was last read; None: not known.
        problem: what is odd about it; '' where nothing is.
    """

    reference: str
    sort: Sort
    family: str
    size: int
    half: int
    is_whole: bool
    revisions: tuple[CachedRevision, ...]
    path: Path
    last_used: datetime | None
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """Return its part of a JSON document."""
        return {
            "reference": self.reference,
            "kind": self.sort,
            "family": self.family or None,
            "size_bytes": self.size,
            "half_bytes": self.half,
            "whole": self.is_whole,
            "revisions": [
                {"commit": each.commit, "refs": list(each.refs), "size_bytes": each.size}
                for each in self.revisions
            ],
            "path": str(self.path),
            "last_used": self.last_used and self.last_used.isoformat(timespec="seconds"),
            "problem": self.problem or None,
        }


def listed_models() -> Iterator[ListedModel]:
    """Yield the models of this machine, the embedded ones first. Nobody is asked for anything."""
    for name in EMBEDDED:
        files = open_files(name, offline=True)
        size = sum(files.look(each).size or 0 for each in files.names)
        found = survey(files, offline=True)
        folder = files.fetch(())
        yield ListedModel(name, found.sort, found.family, size, 0, found.is_here, (), folder, None, "")
    yield from map(_cached, cached_repositories())


def _cached(repository: CachedRepository) -> ListedModel:
    used = repository.last_used
    found, problem = _newest(repository)
    return ListedModel(
        reference=repository.name,
        sort=found.sort if found else "other",
        family=found.family if found else "",
        size=repository.size,
        half=repository.half,
        is_whole=found is not None and found.is_here,
        revisions=repository.revisions,
        path=repository.folder,
        last_used=None if used is None else datetime.fromtimestamp(used, UTC),
        problem=problem,
    )


def _newest(repository: CachedRepository) -> tuple[Survey | None, str]:
    """Look at the revision of a repository that was fetched last; else tell why that cannot be."""
    if repository.problem or not repository.revisions:
        return None, repository.problem or "holds no whole file"
    try:
        files = open_files(f"{repository.name}@{repository.revisions[0].commit}", offline=True)
        found = survey_cached(files)
    except (AssetError, OSError) as error:  # a name that is none, or what cannot be read
        return None, str(error)
    return found, "" if found.is_here else found.problem
