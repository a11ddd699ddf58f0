"""Making what a lock holds: pictures and streams are rendered, and what was seen of them is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smd_cli.app.batch.jobs import Job, Outcome
from smd_cli.app.batch.perform import check_unchanged
from smd_cli.app.batch.queue import JobQueue
from smd_cli.app.batch.request import Request
from smd_cli.app.batch.run import in_turn
from smd_cli.app.batch.variants import Variant
from smd_cli.app.captions import caption_jobs
from smd_cli.app.lock.drift import name_in, overrides_of
from smd_cli.app.lock.lockfile import Lock, is_scene, read_lock
from smd_cli.app.lock.pictures import LockedPicture
from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import OpenedScene
from smd_cli.engine.events import JobEnded, Listener, Noted, Warned
from smd_cli.errors import AssetError
from smd_cli.media.files import Existing, check_target
from smd_cli.media.pixel_digest import PixelDigest
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Message


def lock_inputs(lock: Lock, variants: Iterable[Variant]) -> Iterator[LockedPicture]:
    """Yield pictures as a lock holds them before they are rendered; no model is loaded.

    Raises AssetError: a model or file is missing.
    """
    for variant in variants:
        for seed in variant.seeds:
            yield _locked(lock, variant.scene, variant.coming.of(seed))


def jobs_of(variants: Iterable[Variant]) -> list[Job]:
    """Return jobs whose pictures are not written."""
    pairs = [(variant, seed) for variant in variants for seed in variant.seeds]
    return [
        Job(number, variant.scene, seed, "", variant.point.text, variant.digests)
        for number, (variant, seed) in enumerate(pairs, start=1)
    ]


@dataclass(frozen=True)
class Locking:
    """Renders the pictures that a lock is to hold.

    Attributes:
        lock: that is to hold them.
        request: how files are written, where jobs have any.
        listener: receives the events of the batch and of its jobs.
    """

    lock: Lock
    request: Request
    listener: Listener

    def run(self, jobs: Sequence[Job]) -> Iterator[LockedPicture]:
        """Render jobs, those of one model after the other, and yield what the lock holds of each.

        Raises SmdError: one cannot be rendered or written; a lock of the others would not be whole.
        """
        queue = JobQueue(caption_jobs(jobs, self.request.settings, self.listener))
        with Renderer.of(self.request.settings, self.listener) as renderer:
            for job in in_turn(queue, self.listener):
                check_unchanged(job)
                make = self._stream if job.scene.plan.task == "stream" else self._picture
                yield make(job, renderer)
                queue.end(Outcome(job.number, "written"))
                self.listener(JobEnded(job.number, "written"))

    def _picture(self, job: Job, renderer: Renderer) -> LockedPicture:
        from smd_cli.app.latents import latent_digest

        picture = renderer.render(job.scene, seed=job.seed)
        if job.target:
            picture.save_as(Path(job.target), self.request.existing, hint=self.request.hint)
        latents = latent_digest(picture.latents)
        return _locked(self.lock, job.scene, _made(picture.recipe), latents, job.target)

    def _stream(self, job: Job, renderer: Renderer) -> LockedPicture:
        stream = renderer.stream(job.scene, seed=job.seed)
        if job.target:
            report = stream.write_as(job.target, self.request.existing, hint=self.request.hint)
            pixels = report.outputs[0].pixels_sha256
        else:
            digest = PixelDigest()
            for frame in stream:
                if frame.image is not None:
                    digest.add(frame.image)
            pixels = digest.hexdigest()
        recipe = replace(_made(stream.recipe), pixels=pixels)
        return _locked(self.lock, job.scene, recipe, file=job.target)


def lock_to_update(path: Path) -> Lock:
    """Return the lock at a path, or an empty one where nothing lies.

    Raises UsageError: no file can be written there; AssetError: something else than a lock is there, which is
    never replaced.
    """
    check_target(path, Existing.OVERWRITE)
    if not path.exists():
        return Lock(path)
    try:
        return read_lock(path)
    except AssetError as error:
        hint = Message(f"{path}: is not replaced; remove it, or give another file by --output")
        raise AssetError(*error.problems, hint) from error


def update_lock(path: Path, pictures: Iterable[LockedPicture], listener: Listener) -> None:
    """Write pictures to a lock, in place of those of the same scenes; those of scenes that are gone are left
    out.

    Raises as `lock_to_update` and `Lock.write`.
    """
    lock = lock_to_update(path).updated(pictures)  # which another run may have written meanwhile
    gone = {picture.scene for picture in lock.pictures if not is_scene(lock.path_of(picture.scene))}
    for scene in sorted(gone):
        listener(Noted(f"{path}: {scene} is gone, and its pictures are left out"))
    Lock(path, tuple(each for each in lock.pictures if each.scene not in gone)).write()


def check_lockable(lock: Lock, scenes: Iterable[OpenedScene], listener: Listener) -> None:
    """Check that a lock can name scenes, and warn of options that name a file as only this machine does.

    Raises UsageError: one has no file.
    """
    for scene in {id(scene): scene for scene in scenes}.values():
        name_in(lock, scene)
        for key, value in scene.origin.overrides.items():
            if isinstance(value, str) and os.path.isabs(value) and os.path.exists(value):  # noqa: PTH110, PTH117
                text = f"{key} is {value} by an option, which the lock says too; give it by a relative path"
                listener(Warned(scene.locate().says(text)))


def _made(recipe: Recipe | None) -> Recipe:
    if recipe is None:
        raise RuntimeError("a lock is made of recipes, which the settings leave out")
    return recipe


def _locked(
    lock: Lock,
    scene: OpenedScene,
    recipe: Recipe,
    latents: str | None = None,
    file: str = "",
) -> LockedPicture:
    written = lock.name_of(Path(file)) if file else None
    return LockedPicture(name_in(lock, scene), overrides_of(scene), recipe.seed, recipe, latents, written)
