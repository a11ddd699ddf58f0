"""What a scene may say and yet hardly means."""

from collections.abc import Callable

from smd_cli.scene.resolve import Plan


def remarks(plan: Plan, locate: Callable[..., str]) -> list[str]:
    """One line for every value that another makes idle; `locate` turns a place into what it begins with."""
    found = []
    sampler, place = plan.sampler, locate("sampler", "guidance_scale")
    if sampler.guidance == "none" and sampler.guidance_scale != 1:
        found.append(f"{place}: {sampler.guidance_scale:g} has no effect with guidance: none")
    if sampler.guidance == "full" and sampler.guidance_scale == 1:
        found.append(f"{place}: 1 makes guidance: full the same as none")
    if sampler.guidance in ("self", "initialize") and plan.task != "stream":
        found.append(
            f"{locate('sampler', 'guidance')}: {sampler.guidance} is for streams; here it is the same as none"
        )
    if plan.background.image == "none" and plan.background.fit != "cover":
        found.append(f"{locate('background', 'fit')}: has no effect without a background picture")
    return found
