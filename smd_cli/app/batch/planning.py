"""From scenes, seeds and a matrix to jobs: all that can be wrong with any of them is told before the first.

Knows no torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from smd_cli.app.apart import Inputs, check_apart
from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.outputs import Outputs
from smd_cli.app.batch.request import Request
from smd_cli.app.batch.variants import Variant, hold_variants, open_variants
from smd_cli.app.existing import (
    ComingRecipes,
    check_picture,
    check_stream,
    existing_file,
    is_whole,
    is_whole_picture,
)
from smd_cli.app.lock.drift import Held
from smd_cli.app.lock.lockfile import Lock
from smd_cli.app.names import NamedPicture, fill_name
from smd_cli.app.scenes import OpenedScene
from smd_cli.engine.events import Listener, Noted, ignore_events
from smd_cli.errors import Collected, UsageError
from smd_cli.media.stills import check_still, check_texts
from smd_cli.messages import Place

_SHOWN = 10  # files that are told one by one
_SUFFIXES = {"stream": ".gif"}  # of a task's files, where the name gives none; of the others .png
_SUFFIX = re.compile(r"\.[a-z]\w*$", re.IGNORECASE)  # not that of a number, such as v1.5


@dataclass(frozen=True)
class Batch:
    """Jobs of a batch.

    Attributes:
        jobs: to run.
        left: whose files are there already.
        skipped: the outcomes of these.
        scenes: of all of them.
        held: by the number of a job, the pictures of its scene that a lock holds.
    """

    jobs: tuple[Job, ...]
    left: tuple[Job, ...]
    skipped: tuple[Outcome, ...]
    scenes: tuple[OpenedScene, ...]
    held: Mapping[int, Held] = field(default_factory=dict)


def plan_batch(request: Request, listener: Listener = ignore_events, *, lock: Lock | None = None) -> Batch:
    """Read, check and name everything; write nothing and load no model.

    With a lock, only pictures that it holds may be made (see `hold`).
    Models are looked for only where names or files that exist need their hashes (see `check_models`).

    Raises SmdError: something is wrong with any of it, all problems of a stage together.
    """
    variants = open_variants(request, listener)
    if lock is not None:
        variants = hold_variants(lock, variants, listener)
    named = list(_named(variants, request))
    _check_apart_from_each_other(named, request)
    return _sort_out(variants, named, request, listener)


@dataclass(frozen=True)
class _Named:
    """A job, and the variant that it is of."""

    job: Job
    variant: Variant


def _named(variants: Iterable[Variant], request: Request) -> Iterator[_Named]:
    """Yield a job for each seed of each variant."""
    number = 0
    for variant in variants:
        plan, text = variant.scene.plan, variant.point.text
        for seed in variant.seeds:
            index, number = number, number + 1
            if request.output is None:
                digest = partial(_hash, variant.coming, seed)
                set_by_point = dict(variant.point.values)
                picture = NamedPicture(replace(plan, seed=seed), index, digest, text, set_by_point)
                name = fill_name(_template(request.name, variant), picture)
                target = f"{Path(request.output_dir) / name}{'/' * name.endswith('/')}"
            else:
                target = request.output
            job = Job(number, variant.scene, seed, target, text, variant.digests, variant.point.values)
            yield _Named(job, variant)


def _hash(coming: ComingRecipes, seed: int) -> str:
    return coming.of(seed).sha256


def _template(name: str | None, variant: Variant) -> str:
    """Return the template of a variant's names, with the suffix of its task where there is none."""
    template = name or f"{{scene}}_{{seed}}{'_{point}' * bool(variant.point.text)}"
    if template.endswith("/") or _SUFFIX.search(template):
        return template
    return template + _SUFFIXES.get(variant.scene.plan.task, ".png")


def _check_apart_from_each_other(named: Sequence[_Named], request: Request) -> None:
    """Raise UsageError where two jobs have one file."""
    if request.output is not None and len(named) > 1:
        place = Place.of_option(f"--output {request.output}")
        text = f"names one file for {len(named):,} pictures; give --output-dir instead"
        raise UsageError(place.says(text))
    outputs, problems = Outputs(), Collected()
    for each in named:
        job = each.job
        with problems.catching():
            if other := outputs.add(job):
                hint = "tell them apart by --name, with {index} or {hash:8} say"
                raise UsageError(f"{_clash(other, job)}; {hint}")
    problems.check()


def _clash(one: Job, other: Job) -> str:
    """Tell that two jobs have one file, which links can lead to."""
    both = f"{_source(one)}, and {_source(other)}"
    if os.path.normpath(one.target) == os.path.normpath(other.target):
        return f"{other.target}: is to be two pictures: {both}"
    return f"{other.target}: is to be two pictures, since it leads to {one.target}: {both}"


def _source(job: Job) -> str:
    return ", ".join(filter(None, (job.scene.locate().source, f"seed {job.seed}", job.point)))


def _sort_out(
    variants: Sequence[Variant], named: Sequence[_Named], request: Request, listener: Listener
) -> Batch:
    """Tell the jobs that are to be made from those whose files are there."""
    jobs, left, skipped, problems = [], [], [], Collected()
    option, scenes = _naming(request), tuple(variant.scene for variant in variants)
    inputs = Inputs(scenes)
    for each in named:
        job = each.job
        with problems.catching():
            if _is_wanted(each, request, listener):
                inputs.check_apart(job.target, option)
                jobs.append(job)
                continue
            left.append(job)
            skipped.append(Outcome(job.number, "skipped", existing_file(job.target, job.seed, job.size)))
    problems.check()
    _tell_left(left, listener)
    held = {each.job.number: each.variant.held for each in named if each.variant.held}
    return Batch(tuple(jobs), tuple(left), tuple(skipped), scenes, held)


def _tell_left(left: Sequence[Job], listener: Listener) -> None:
    """Tell which files exist, by their names where these are few."""
    if len(left) > _SHOWN:
        listener(Noted(f"{len(left):,} files exist, skipped"))
        return
    for job in left:
        listener(Noted(f"{job.target}: exists, skipped"))


def _naming(request: Request) -> str:
    """Return the option that names files."""
    return "--name" if request.output is None else "--output"


def _is_wanted(named: _Named, request: Request, listener: Listener) -> bool:
    """Tell whether a job is to be made. Raises UsageError, AssetError: its file cannot be written."""
    job, coming, stream = named.job, named.variant.coming, named.variant.stream
    option = _naming(request)
    recipe = partial(coming.of, job.seed)
    check_apart(job.scene, job.target, option)
    if stream is not None:
        from smd_cli.app.stream_input import check_room

        check_room(stream, job.target, option)
        return check_stream(job.target, request.existing, recipe, hint=request.hint) or not is_whole(
            job.target, stream.frames, listener
        )
    path = Path(job.target)
    check_still(path, job.size, option=option)
    if request.settings.metadata:
        check_texts(path, partial(coming.texts, job.seed), option=option)
    return check_picture(path, request.existing, recipe, hint=request.hint) or not is_whole_picture(
        path, listener
    )
