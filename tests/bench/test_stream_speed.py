"""`smd bench stream`: what it compares, and what it counts."""

import json

import pytest

from smd_cli.models.assets import ModelSpec, locate
from tests.cli.program import smd

SCENE = """\
smd: 1
task: stream
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions:
  - {name: sun, prompt: the sun, mask: {ellipse: [0.3, 0.5, 0.25, 0.4]}}
"""


@pytest.fixture
def measured(tmp_path):
    path = tmp_path / "day.yaml"
    path.write_text(SCENE)

    def measure(*options: str, frames: int = 1):
        done = smd("bench", "stream", str(path), "--frames", str(frames), "--repeats", "1", *options)
        assert done.exit_code == 0, done.stderr
        return done

    return measure


def test_ways_to_stream_are_compared_and_counted(measured):
    done = measured("--json", "-q", frames=4)
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    names = ["stream batch", "steps in turn"]
    names += [f"guidance {kind}" for kind in ("none", "self", "initialize", "full")]
    assert list(rows) == names
    evaluations = {name: row["evaluations"] for name, row in rows.items()}
    views = 2 * 2 * 4  # regions, steps, frames
    assert evaluations["stream batch"] == evaluations["steps in turn"] == views
    assert evaluations["guidance none"] == evaluations["guidance self"] == views
    assert evaluations["guidance initialize"] == views + 2 * 4
    assert evaluations["guidance full"] == 2 * views
    assert rows["steps in turn"]["difference"] <= 1
    assert all(rows[f"guidance {kind}"]["difference"] > 0 for kind in ("self", "initialize", "full"))
    assert done.stderr == ""


def test_another_autoencoder_decodes_the_same_frames(measured):
    own = locate(ModelSpec("flatland")).components["vae"].weights[0].parent
    rows = json.loads(measured("--json", "-q", "--vae", str(own)).stdout)["rows"]
    assert [row["name"] for row in rows[-2:]] == ["own autoencoder", "other autoencoder"]
    assert rows[-1]["difference"] == 0


def test_people_get_a_table(measured):
    done = measured()
    assert "steps in turn" in done.stdout
    assert "guidance initialize" in done.stdout


def test_another_task_is_refused(measured, tmp_path):
    (tmp_path / "still.yaml").write_text(SCENE.replace("stream", "generate"))
    done = smd("bench", "stream", str(tmp_path / "still.yaml"))
    assert done.exit_code == 3
