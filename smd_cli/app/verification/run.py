"""Verifying claims one after the other, on models that stay loaded. Imports torch to render."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from smd_cli.app.verification.again import rendered_again
from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.computation import Computation, Renderers, Wanted
from smd_cli.app.verification.criterion import Criterion
from smd_cli.app.verification.differences import DifferenceFolder
from smd_cli.app.verification.judge import Evidence, Judgement, judge
from smd_cli.app.verification.verdict import Verdict
from smd_cli.engine.events import JobEnded, JobStarted, Listener, Noted, ignore_events
from smd_cli.errors import MismatchError, SmdError
from smd_cli.messages import Message


@dataclass(frozen=True)
class Verifier:
    """Renders claims again and judges them.

    Attributes:
        criterion: by what they are judged.
        wanted: where and in what precision they are rendered.
        differences: where pictures of differences go; None: none are drawn.
        listener: hears which claim is rendered, how far that is, and what is warned of.
    """

    criterion: Criterion = field(default_factory=Criterion)
    wanted: Wanted = field(default_factory=Wanted)
    differences: DifferenceFolder | None = None
    listener: Listener = ignore_events

    def verify(self, found: Iterable[Claim | Verdict]) -> Iterator[Verdict]:
        """Yield what are verdicts already, then one on each claim: those that share a model in a row.

        What keeps one from being rendered is a verdict too.
        """
        claims: list[Claim] = []
        for each in found:
            if isinstance(each, Verdict):
                yield each
            else:
                claims.append(each)
        order = {key: place for place, key in enumerate(dict.fromkeys(map(self._shared, claims)))}
        with closing(Renderers(self.listener)) as renderers:
            for position, claim in enumerate(sorted(claims, key=lambda each: order[self._shared(each)]), 1):
                self.listener(JobStarted(position, position, len(claims), claim.name))
                verdict = self._verdict(claim, renderers)
                self.listener(JobEnded(position, "failed" if verdict.status == "failed" else "written"))
                yield verdict

    def _shared(self, claim: Claim) -> tuple[Computation | None, str]:
        """Return what is equal for claims that share a renderer and a model."""
        try:
            return Computation.of(claim, self.wanted), claim.model
        except SmdError:  # which its verdict tells
            return None, ""

    def _verdict(self, claim: Claim, renderers: Renderers) -> Verdict:
        began = time.perf_counter()

        def verdict(judged: Judgement, exit_code: int = 0, difference: str | None = None) -> Verdict:
            return Verdict(
                claim.name,
                claim.suite,
                judged.status,
                tuple(_about(claim, reason) for reason in judged.reasons),
                judged.measured,
                time.perf_counter() - began,
                exit_code,
                difference,
            )

        try:
            judged = self._judged(claim, renderers)
        except MismatchError as error:
            return verdict(Judgement("differs", error.problems))
        except SmdError as error:
            return verdict(Judgement("failed", error.problems), error.exit_code)
        try:
            return verdict(judged, difference=self._difference(claim, judged))
        except SmdError as error:  # it differs nevertheless
            return verdict(replace(judged, reasons=(*judged.reasons, *error.problems)))

    def _judged(self, claim: Claim, renderers: Renderers) -> Judgement:
        scene = claim.open()
        if claim.is_of_inputs:
            self.listener(
                Noted(f"{claim.suite}: pictures of which only inputs are recorded are not rendered")
            )
            return Judgement("same")
        evidence = Evidence.of(claim, self.criterion, is_film=scene.plan.task == "stream")
        with (
            renderers.computing(Computation.of(claim, self.wanted)) as renderer,
            rendered_again(claim, scene, renderer) as again,
        ):
            return judge(evidence, again, self.criterion)

    def _difference(self, claim: Claim, judged: Judgement) -> str | None:
        """Draw where a picture differs; return the path, None where there is nothing to draw."""
        if self.differences is None or judged.status != "differs" or judged.compared is None:
            return None
        return self.differences.draw(claim, judged.compared)


def _about(claim: Claim, reason: str) -> Message:
    """Return a reason with the place of a claim, where it has none and does not begin with it already."""
    message = Message.of(reason)
    return message if message.place else claim.place.says(message.removeprefix(f"{claim.place}: "))
