"""Claims that are rendered again and judged, beside those of pictures: see tests/cli/test_verify.py."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from defusedxml.ElementTree import fromstring

from smd_cli import Renderer, load_scene
from smd_cli.app.recipes import RENDERING_VERSION
from smd_cli.app.verification.claim import Claim
from smd_cli.app.verification.computation import Computation, Wanted
from smd_cli.app.verification.criterion import Criterion
from smd_cli.app.verification.junit import junit_xml
from smd_cli.app.verification.run import Verifier
from smd_cli.app.verification.verdict import Verdict
from smd_cli.engine.events import Started
from smd_cli.errors import AssetError, MismatchError
from smd_cli.messages import Message

SCENE = {
    "smd": 1,
    "canvas": {"width": 64, "height": 64},
    "sampler": {"indices": [0, 25]},
    "background": {"prompt": "sunset"},
}
BEGAN = datetime(2026, 11, 27, 22, 30, 5, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture(scope="module")
def claim() -> Claim:
    """What a lock would record of a picture, without keeping the picture."""
    with Renderer(device="cpu") as renderer:
        picture = renderer.render(load_scene(SCENE), seed=3)
    recipe = picture.recipe
    return Claim(
        "sunset, seed 3",
        "smd.lock",
        lambda: load_scene(SCENE),
        seed=3,
        pixels=picture.pixels_sha256,
        latents=recipe.latents,
        computation=recipe.computation,
        versions=recipe.versions,
    )


def verdict_on(claim: Claim, *criterion) -> Verdict:
    (verdict,) = Verifier(Criterion.of(*criterion)).verify([claim])
    return verdict


def test_a_claim_without_a_picture_is_judged_by_its_digest(claim):
    assert verdict_on(claim).status == "same"
    other = verdict_on(replace(claim, seed=4))
    assert other.status == "differs"
    assert other.reasons == (
        "sunset, seed 3: its pixels are not those that are recorded; nothing that is recorded of the machine "
        "differs, so its scene or seed may have been changed",
    )
    made = replace(claim, seed=4, versions={**claim.versions, "torch": "1.0"})
    assert "what differs: torch '1.0', now " in verdict_on(made).reasons[0]
    reason = verdict_on(replace(made, rendering=7)).reasons[0]
    assert f"rendering version 7 of smd made it, and this is {RENDERING_VERSION}" in reason


def test_a_claim_without_a_picture_is_judged_by_its_latents(claim):
    same = verdict_on(replace(claim, pixels=64 * "0"), "latent")
    assert (same.status, same.measured.similarity) == ("same", 1)
    other = verdict_on(replace(claim, seed=4), "latent")
    assert other.status == "differs"
    assert 0 < other.measured.similarity < 0.995
    assert verdict_on(replace(claim, seed=4), "latent", None, 0.1).status == "same"
    damaged = verdict_on(replace(claim, latents="4x8x8:AAAA"), "latent")
    assert (damaged.status, damaged.exit_code) == ("failed", 4)


def test_a_claim_of_a_stream_is_judged_by_the_digest_of_its_frames(claim, tmp_path):
    scene = {**SCENE, "task": "stream", "stream": {"frames": 2}}
    with Renderer(device="cpu") as renderer:
        written = renderer.stream(load_scene(scene)).write(tmp_path / "film.gif").outputs[0]
    film = replace(claim, open=lambda: load_scene(scene), seed=None, pixels=written.pixels_sha256)
    assert verdict_on(film).status == "same"
    assert verdict_on(replace(film, seed=9)).status == "differs"


@pytest.mark.parametrize("criterion", [("pixels", 3), ("ssim",)])
def test_what_needs_a_picture_is_told_where_none_is_kept(claim, criterion):
    verdict = verdict_on(claim, *criterion)
    assert (verdict.status, verdict.exit_code) == ("failed", 2)
    assert "no picture of it is kept" in verdict.reasons[0]


def test_what_a_scene_is_made_of_has_changed(claim):
    def changed():
        raise MismatchError("the mask is another one")

    verdict = verdict_on(replace(claim, open=changed))
    assert (verdict.status, verdict.reasons) == ("differs", ("sunset, seed 3: the mask is another one",))


def test_claims_of_one_model_follow_one_another_and_load_it_once(claim):
    loads, claims = [], []
    for index, kind in enumerate(["lcm", "ddim", "lcm", "ddim"]):
        steps = {"indices": [0, 25]} if kind == "lcm" else {"steps": 2}
        scene = {**SCENE, "sampler": {"kind": kind, **steps}}
        again = replace(claim, name=f"{index}", model=kind, open=lambda scene=scene: load_scene(scene))
        claims.append(again)

    def listen(event):
        if isinstance(event, Started) and event.phase == "load":
            loads.append(event)

    verdicts = list(Verifier(Criterion(), listener=listen).verify(claims))
    assert [verdict.name for verdict in verdicts] == ["0", "2", "1", "3"]
    assert [verdict.status for verdict in verdicts] == ["same", "same", "differs", "differs"]
    assert len(loads) == 2


@pytest.mark.parametrize(
    ("recorded", "wanted", "device", "dtype"),
    [
        ({"device": "cpu (x86_64, AVX2)", "dtype": "bfloat16"}, Wanted(), "cpu", "bfloat16"),
        ({"device": "NVIDIA H100", "dtype": "float16"}, Wanted(), "auto", "float16"),
        ({"device": "NVIDIA H100", "dtype": "float16"}, Wanted("cpu", "bfloat16"), "cpu", "bfloat16"),
        ({"device": "cpu (x86_64, AVX2)"}, Wanted("cuda"), "cuda", "auto"),
        ({}, Wanted(), "auto", "auto"),
    ],
)
def test_where_and_in_what_precision_a_claim_is_rendered(claim, recorded, wanted, device, dtype):
    settings = Computation.of(replace(claim, computation=recorded), wanted).settings
    assert (settings.device, settings.dtype) == (device, dtype)


def test_a_precision_that_a_device_lacks_becomes_its_own_unless_it_was_asked_for(claim):
    """Of a picture that a GPU made in float16, on a CPU."""
    of_gpu = replace(claim, computation={**claim.computation, "device": "NVIDIA H100", "dtype": "float16"})
    (verdict,) = Verifier(Criterion.of("latent"), Wanted("cpu")).verify([of_gpu])
    assert verdict.status == "same"
    (verdict,) = Verifier(Criterion.of("latent"), Wanted("cpu", "float16")).verify([of_gpu])
    assert (verdict.status, verdict.exit_code) == ("failed", 5)


@pytest.mark.parametrize(
    "made",
    [
        {"batch": 0},
        {"batch": True},
        {"threads": -1},
        {"threads": 10**6},
        {"dtype": "float8"},
        {"dtype": {}},
        {"device": 3},
        {"deterministic": "no"},
    ],
)
def test_a_computation_that_makes_no_sense_is_told(claim, made):
    with pytest.raises(AssetError, match="recorded of its computation is damaged"):
        Computation.of(replace(claim, computation=made), Wanted())


HOSTILE = "a\x00b\x1b[31m\ud800 <&>\"' \ufffe\uffff \u202e ]]> \U0001f600"
VERDICTS = [
    Verdict("a.png", "out", "same", seconds=1.25),
    Verdict(HOSTILE, HOSTILE, "differs", (Message(HOSTILE), Message("two")), seconds=2.5, difference=HOSTILE),
    Verdict("c.png", "out", "failed", (Message("cannot be read"),), exit_code=4),
]


def test_junit_xml_follows_the_rules_that_ci_systems_share():
    """Those of Jenkins' junit-10.xsd and of Ant's schema, which agree in this."""
    root = fromstring(junit_xml(VERDICTS, Criterion(), BEGAN))
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    counts = {"tests": "3", "failures": "1", "errors": "1", "time": "3.750", "name": "smd verify"}
    assert root.attrib == counts
    assert suite.attrib == {**counts, "skipped": "0", "timestamp": "2026-11-27T20:30:05"}
    assert [each.tag for each in suite] == ["properties", "testcase", "testcase", "testcase"]
    assert all(set(each.attrib) == {"name", "value"} for each in suite[0])
    cases = suite.findall("testcase")
    assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)
    assert [case.get("time") for case in cases] == ["1.250", "2.500", "0.000"]
    assert [[each.tag for each in case] for case in cases] == [[], ["failure"], ["error"]]
    assert all(set(told.attrib) == {"type", "message"} for case in cases for told in case)
    assert (cases[2][0].get("message"), cases[2][0].text) == ("cannot be read", "cannot be read")


def test_junit_xml_shows_what_xml_cannot_hold():
    case = fromstring(junit_xml(VERDICTS, Criterion(), BEGAN))[0].findall("testcase")[1]
    shown = "a\\x00b\\x1b[31m\\ud800 <&>\"' \\ufffe\\uffff \\u202e ]]> \U0001f600"
    assert case.attrib == {"classname": shown, "name": shown, "time": "2.500"}
    assert case[0].text.splitlines() == [shown, "two", f"difference: {shown}"]
