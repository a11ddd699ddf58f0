"""Where the files of a batch lie, whatever links or spellings lead there. Knows no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from smd_cli.app.batch.jobs import Job
from smd_cli.media.sinks import is_folder


class Outputs:
    """The files that jobs write, and the folders that streams write frames to, which are theirs alone."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._folders: dict[str, str] = {}  # real ones, by their spelling: most jobs share one
        self._jobs: dict[str, Job] = {}
        self._of_frames: dict[str, Job] = {}
        for job in jobs:
            self.add(job)

    def add(self, job: Job) -> Job | None:
        """Add a job; return an earlier one that writes to the same place, if one does."""
        place = real_path(job.target, self._folders)
        if job.scene.plan.task == "stream" and is_folder(job.target):
            self._of_frames[place] = job
        first = self._jobs.setdefault(place, job)
        return None if first is job else first

    def at(self, path: Path) -> Job | None:
        """Return the job that writes a file, or frames beside it; None: no job does."""
        place = real_path(path, self._folders)
        return self._jobs.get(place) or self._of_frames.get(os.path.dirname(place))  # noqa: PTH120 - as below


def real_path(path: str | Path, folders: dict[str, str] | None = None) -> str:
    """Return where a file lies, or is to lie, links followed; `folders` remembers where these lead."""
    known = {} if folders is None else folders
    if os.path.islink(path):  # noqa: PTH114 - of many jobs; Path takes ten times as long
        return os.path.realpath(path)
    folder, name = os.path.split(str(path).rstrip("/"))
    if name in ("", os.curdir, os.pardir):
        return os.path.realpath(path)
    if folder not in known:
        known[folder] = os.path.realpath(folder)
    return os.path.join(known[folder], name)  # noqa: PTH118
