"""Making the picture or stream of one job, with a renderer that goes from job to job."""

from __future__ import annotations

import errno
import time
from pathlib import Path

from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.existing import Coming, check_picture, existing_file
from smd_cli.app.named_files import digest_in, picture_files
from smd_cli.app.renderer import Renderer
from smd_cli.errors import AssetError, SmdError, UsageError
from smd_cli.interrupts import finishing
from smd_cli.media.files import Existing

_OF_ONE_FILE = {errno.EFBIG, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def perform(job: Job, renderer: Renderer, existing: Existing, *, hint: str) -> Outcome:
    """Render a job and write its file; `hint` is what the user can do about a file that must stay.

    Raises SmdError: what would end every other job too, such as a full disk.
    """
    began = time.perf_counter()
    try:
        check_unchanged(job)
        make = _stream if job.scene.plan.task == "stream" else _picture
        return make(job, renderer, existing, hint, began)
    except SmdError as error:
        if ends_all(error):
            raise
        return failed(job, error, time.perf_counter() - began)


def failed(job: Job, error: SmdError, seconds: float = 0.0, attempts: int = 1) -> Outcome:
    """Return the outcome of a job that an error ended."""
    return Outcome(
        job.number,
        "failed",
        timing={"total_s": seconds},
        problems=error.problems,
        exit_code=error.exit_code,
        attempts=attempts,
    )


def ends_all(error: SmdError) -> bool:
    """Tell whether what ended a job would end all others too: a full disk, for example.

    A file that cannot be read is that of one scene.
    """
    cause = error.__cause__
    is_of_reading = isinstance(error, AssetError)
    return not is_of_reading and isinstance(cause, OSError) and cause.errno not in _OF_ONE_FILE


def ends_alike(outcome: Outcome) -> bool:
    """Tell whether what ended a job would end those of the scene's other seeds too.

    That is so of its model, masks and memory, and not of a file that could not be written or of numbers that
    ran out of range.
    """
    return outcome.exit_code not in (0, SmdError.exit_code, UsageError.exit_code)


def check_unchanged(job: Job) -> None:
    """Raise AssetError where a picture that the scene names is gone, or not what it was at the planning."""
    if not job.digests:
        return
    now = {file.key: file for file in picture_files(job.scene.plan)}
    digests = {key: digest_in(job.scene, file) for key, file in now.items()}
    changed = [key for key, digest in job.digests.items() if digests.get(key) != digest]
    if changed:
        raise AssetError(
            *(
                job.scene.locate(*now[key].loc).says(f"{now[key].what} has changed since the batch began")
                for key in changed
            )
        )


def _picture(job: Job, renderer: Renderer, existing: Existing, hint: str, began: float) -> Outcome:
    picture = renderer.render(job.scene, seed=job.seed)
    path = Path(job.target)
    with finishing():
        is_kept = is_there(path, existing, lambda: picture.recipe, hint)
        if is_kept:
            output = existing_file(path, job.seed, picture.image.size)
        else:
            output = picture.save_as(path, existing, hint=hint)
    total = time.perf_counter() - began
    return Outcome(
        job.number,
        "skipped" if is_kept else "written",
        output,
        picture.recipe.sha256 if picture.recipe else None,
        timing={**picture.timing, "save_s": total - sum(picture.timing.values()), "total_s": total},
        work=dict(picture.work._asdict()),
        device=picture.device,
        steps=picture.steps,
    )


def is_there(path: Path, existing: Existing, coming: Coming, hint: str) -> bool:
    """Tell whether a file that has appeared meanwhile is the picture, and may stay.

    Raises UsageError: it is another, which must stay.
    """
    leaves = existing in (Existing.SKIP, Existing.UPDATE) and path.exists()
    return leaves and not check_picture(path, existing, coming, hint=hint)


def _stream(job: Job, renderer: Renderer, existing: Existing, hint: str, began: float) -> Outcome:
    from smd_cli.media.sinks import reserved

    with reserved(job.target) as lock:
        stream = renderer.stream(job.scene, seed=job.seed)
        with finishing(stream.close):
            report = stream.write_as(job.target, existing, hint=hint, lock=lock)
    return Outcome(
        job.number,
        "written",
        report.outputs[0],
        stream.recipe.sha256 if stream.recipe else None,
        timing={**report.timing, "total_s": time.perf_counter() - began},
        work=report.work,
        device=report.device,
    )
