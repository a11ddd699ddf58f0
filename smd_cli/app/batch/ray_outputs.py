"""Files that other machines have made take their places here, with the checks of files that are made here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.perform import ends_all, failed, is_there
from smd_cli.app.batch.ray_worker import Reply
from smd_cli.app.batch.request import Request
from smd_cli.app.existing import admission, again, check_picture, existing_file
from smd_cli.errors import SmdError
from smd_cli.interrupts import finishing
from smd_cli.media.files import write_bytes
from smd_cli.media.sinks import AdmitAt, FolderWriter, reserved


def place_files(job: Job, outcome: Outcome, reply: Reply, request: Request) -> Outcome:
    """Write what a worker has made for a job, whole or not at all, and return what became of the job.

    Raises SmdError: what would end every other job too, such as a full disk.
    """
    if outcome.status != "written":
        return outcome
    place = _picture if job.scene.plan.task != "stream" else _film if "" in reply.files else _folder
    try:
        with finishing():
            return place(job, outcome, reply, request)
    except SmdError as error:
        if ends_all(error):
            raise
        return failed(job, error, outcome.timing.get("total_s", 0.0))


def _picture(job: Job, outcome: Outcome, reply: Reply, request: Request) -> Outcome:
    path, coming, hint = Path(job.target), lambda: reply.recipe, request.hint
    if is_there(path, request.existing, coming, hint):
        there = existing_file(path, job.seed, job.scene.plan.size)
        return replace(outcome, status="skipped", output=there)
    admit = partial(check_picture, path, again(request.existing), coming, hint=hint)
    write_bytes(path, reply.files[""], admit)
    return outcome


def _film(job: Job, outcome: Outcome, reply: Reply, request: Request) -> Outcome:
    path, admit = Path(job.target), _admission(job, reply, request)
    write_bytes(path, reply.files[""], partial(admit, path))
    return outcome


def _folder(job: Job, outcome: Outcome, reply: Reply, request: Request) -> Outcome:
    with reserved(job.target) as lock:
        sink = FolderWriter(Path(job.target), None, _admission(job, reply, request), lock)
        for data in reply.files.values():
            sink.add_encoded(data)
        sink.close()
    return outcome


def _admission(job: Job, reply: Reply, request: Request) -> AdmitAt:
    return admission(job.target, request.existing, lambda: reply.recipe, hint=request.hint)
