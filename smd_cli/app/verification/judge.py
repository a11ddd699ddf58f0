"""Judging a claim: what is recorded of a picture, what its file shows, and what was rendered now.

Knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from smd_cli.app.latents import cosine_similarity
from smd_cli.app.picture_diff import Shown
from smd_cli.app.verification.again import Again, keeps_pixels
from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.criterion import Criterion
from smd_cli.app.verification.frames import Compared, compare_levels, compare_structure, other_shape
from smd_cli.app.verification.verdict import Measured, Status
from smd_cli.errors import AssetError, UsageError
from smd_cli.media.pixel_digest import pixel_digest

_OTHER_FILE = "another encoder wrote it, or it was changed"
_ACROSS = "; --metric latent or ssim compares across machines"


@dataclass(frozen=True)
class Judgement:
    """Whether a claim holds, how it does not, in lines, and what was measured."""

    status: Status
    reasons: tuple[str, ...] = ()
    compared: Compared | None = None
    measured: Measured | None = None


@dataclass(frozen=True)
class Evidence:
    """A claim and the file that shows it, before anything is rendered.

    Attributes:
        claim: what is recorded.
        shown: the file; None: none is kept.
        own: the digest of what the file shows; None: its format loses some of that, or it is a film.
    """

    claim: Claim
    shown: Shown | None
    own: str | None

    @classmethod
    def of(cls, claim: Claim, criterion: Criterion, *, is_film: bool) -> Evidence:
        """Open what is kept of a claim.

        Raises AssetError: it cannot be read; UsageError: it is not enough for the criterion.
        """
        _check_recorded(claim, criterion, is_film=is_film)
        shown = claim.shown and Shown.at(claim.shown)
        if not shown or is_film or not keeps_pixels(shown.path):
            return cls(claim, shown or None, None)
        return cls(claim, shown, pixel_digest(next(shown.frames())))

    @property
    def is_altered(self) -> bool:
        """Tell whether the file shows other pixels than are recorded of it."""
        return None not in (self.own, self.claim.pixels) and self.own != self.claim.pixels


def judge(evidence: Evidence, again: Again, criterion: Criterion) -> Judgement:
    """Judge a claim. Raises AssetError: a file cannot be read, or what is recorded is damaged."""
    shown = evidence.shown
    if shown and again.shown and (shapes := other_shape(shown, again.shown)):
        return Judgement("differs", (f"it is {shapes}",))
    judged = _METRICS[criterion.metric](evidence, again, criterion)
    if not evidence.is_altered:
        return judged
    return replace(judged, status="differs", reasons=(_altered(evidence, again, judged.measured),))


def _by_pixels(evidence: Evidence, again: Again, criterion: Criterion) -> Judgement:
    recorded = evidence.claim.pixels
    comes_again = again.pixels == recorded
    if not evidence.shown or not again.shown:
        reason = f"its pixels are not those that are recorded; {_rounding(evidence.claim, again)}"
        return Judgement("same") if comes_again else Judgement("differs", (reason,))
    compared = compare_levels(evidence.shown, again.shown, criterion.tolerance)
    measured, rounding = compared.measured, _rounding(evidence.claim, again)
    far = _levels(measured, criterion)
    if (measured.largest or 0) > criterion.tolerance:
        if recorded and comes_again:
            reason = f"the recorded pixels come out again, but its file shows others: {far}; {_OTHER_FILE}"
        else:
            reason = f"its pixels are others now: {far}; {rounding}"
    elif criterion.tolerance or recorded is None or comes_again:
        return Judgement("same", (), compared, measured)
    else:
        reason = f"its file shows the same, but its pixels are not those that are recorded; {rounding}"
    return Judgement("differs", (reason,), compared, measured)


def _by_latents(evidence: Evidence, again: Again, criterion: Criterion) -> Judgement:
    claim = evidence.claim
    try:
        similarity = cosine_similarity(claim.latents or "", again.latents or "")
    except ValueError as error:
        raise AssetError(claim.place.says(str(error))) from error
    compared = None
    if similarity < criterion.threshold and evidence.shown and again.shown:
        compared = compare_levels(evidence.shown, again.shown, 0)
    return _by_similarity(Measured("latent", similarity), compared, criterion)


def _by_structure(evidence: Evidence, again: Again, criterion: Criterion) -> Judgement:
    if not evidence.shown or not again.shown:
        raise RuntimeError("structure is compared where a picture is kept")
    compared = compare_structure(evidence.shown, again.shown)
    return _by_similarity(compared.measured, compared, criterion)


def _by_similarity(measured: Measured, compared: Compared | None, criterion: Criterion) -> Judgement:
    similarity = measured.similarity or 0.0
    if similarity >= criterion.threshold:
        return Judgement("same", (), compared, measured)
    frame = f" in frame {compared.worst.number}" if compared and compared.frames > 1 else ""
    name = "its latents have a cosine of" if measured.metric == "latent" else "its structural similarity is"
    reason = f"it is another picture now: {name} {similarity:.4f}{frame}, below {criterion.threshold:g}"
    return Judgement("differs", (reason,), compared, measured)


_METRICS = {"pixels": _by_pixels, "latent": _by_latents, "ssim": _by_structure}


def _check_recorded(claim: Claim, criterion: Criterion, *, is_film: bool) -> None:
    """Raise UsageError or AssetError where a claim has nothing that the criterion could be tried on."""
    if criterion.metric == "latent":
        if is_film:
            raise UsageError(claim.place.says("no latents of films are recorded; give --metric ssim"))
        if claim.latents is None:
            raise AssetError(
                claim.place.says("no latents are recorded of it; give --metric ssim or --tolerance")
            )
    elif claim.shown is None:
        if criterion.metric == "ssim" or criterion.tolerance:
            what = "--metric ssim" if criterion.metric == "ssim" else "--tolerance"
            hint = "give --metric latent" if claim.latents else "smd lock --output-dir keeps one"
            raise UsageError(claim.place.says(f"no picture of it is kept for {what}; {hint}"))
        if claim.pixels is None:
            raise AssetError(claim.place.says("nothing is recorded of its pixels"))


def _altered(evidence: Evidence, again: Again, measured: Measured | None) -> str:
    """Tell what was changed, where a file does not show what is recorded of it."""
    if again.pixels == evidence.claim.pixels:
        far = f", {measured.largest} levels away at most" if measured and measured.largest else ""
        return f"its file was changed after it was rendered: what is recorded comes out again{far}"
    if again.pixels == evidence.own:
        return "what is recorded of it was changed: what its file shows comes out again, and is not that"
    return "its file does not show what is recorded of it, and neither of them comes out again"


def _levels(measured: Measured, criterion: Criterion) -> str:
    far = f"up to {measured.largest} levels, {measured.mean:.2g} on average"
    beyond = f" by more than {criterion.tolerance}" if criterion.tolerance else ""
    return f"{far}, in {measured.beyond:.2%} of the pixels{beyond}"


def _rounding(claim: Claim, again: Again) -> str:
    """Tell what rounds other pixels now, and what else it may be where nothing does."""
    now = again.recipe
    if claim.rendering not in (None, now.rendering):
        return f"rendering version {claim.rendering} of smd made it, and this is {now.rendering}"
    made = replace(now, computation=dict(claim.computation), versions=dict(claim.versions))
    if differences := made.rounding_differences(now):
        return f"what differs: {', '.join(differences)}{_ACROSS}"
    return "nothing that is recorded of the machine differs, so its scene or seed may have been changed"
