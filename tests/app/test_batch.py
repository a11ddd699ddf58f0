"""From scenes, seeds and a matrix to jobs; the order in which they are run."""

from multiprocessing import Pipe
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.app.batch.jobs import Outcome
from smd_cli.app.batch.perform import perform
from smd_cli.app.batch.planning import plan_batch
from smd_cli.app.batch.queue import JobQueue
from smd_cli.app.batch.request import Request
from smd_cli.app.renderer import Renderer
from smd_cli.engine.events import Noted, Warned
from smd_cli.errors import AssetError, SceneError, UsageError
from smd_cli.media.files import Existing
from smd_cli.scene.matrix import parse_axis, points_of

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 3-4
sampler: {indices: [0, 25]}
background: {prompt: a sunset}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    Path("day.yaml").write_text(SCENE)
    Path("night.yaml").write_text(SCENE.replace("3-4", "7").replace("sunset", "night sky"))
    Path("film.yaml").write_text(SCENE.replace("3-4", "1") + "task: stream\nstream: {frames: 2}\n")
    return tmp_path


def plan(*scenes, **request):
    return plan_batch(Request(scenes, **request))


def targets(batch) -> list[str]:
    return [job.target for job in batch.jobs]


def test_each_scene_has_its_own_seeds_and_task():
    batch = plan("day.yaml", "night.yaml", "film.yaml", output_dir=Path("out"))
    assert targets(batch) == ["out/day_3.png", "out/day_4.png", "out/night_7.png", "out/film_1.gif"]
    assert [job.number for job in batch.jobs] == [1, 2, 3, 4]
    assert batch.jobs[0].scene is batch.jobs[1].scene
    assert batch.jobs[1].name == "day, seed 4"
    assert not Path("out").exists()


def test_seeds_and_points_for_all_scenes():
    points = points_of([parse_axis("bootstrap.steps=0,1")])
    batch = plan("day.yaml", "film.yaml", seeds=(1, 2), points=points)
    assert targets(batch) == [
        f"{name}_{seed}_bootstrap.steps={steps}.{suffix}"
        for name, suffix in (("day", "png"), ("film", "gif"))
        for steps in (0, 1)
        for seed in (1, 2)
    ]
    assert [job.scene.plan.bootstrap.steps for job in batch.jobs] == 2 * [0, 0, 1, 1]


def test_options_replace_a_scene_s_matrix():
    Path("day.yaml").write_text(SCENE + "matrix: {bootstrap.steps: [0, 1]}\n")
    assert len(plan("day.yaml").jobs) == 4
    points = points_of([parse_axis("masks.std=1,2,3")])
    assert {job.point for job in plan("day.yaml", points=points).jobs} == {
        "masks.std=1",
        "masks.std=2",
        "masks.std=3",
    }


def test_names_without_a_suffix_have_that_of_the_task():
    batch = plan("night.yaml", "film.yaml", name="{index:03}_{scene}")
    assert targets(batch) == ["000_night.png", "001_film.gif"]
    assert targets(plan("night.yaml", "film.yaml", name="{scene}.webp")) == ["night.webp", "film.webp"]
    assert targets(plan("film.yaml", name="{scene}/")) == ["film/"]


def test_two_jobs_with_one_file_are_refused_by_name(folder):
    (folder / "b").mkdir()
    (folder / "b/day.yaml").write_text(SCENE)
    with pytest.raises(UsageError) as error:
        plan("day.yaml", "b/day.yaml")
    assert error.value.problems[0].startswith(
        "day_3.png: is to be two pictures: day.yaml, seed 3, and b/day.yaml, seed 3; tell them apart by"
    )
    assert len(error.value.problems) == 2
    Path("link").symlink_to(".")
    with pytest.raises(UsageError, match="is to be two pictures"):
        plan("day.yaml", name="{seed}/../x.png")


def test_links_make_no_two_files_of_one(folder):
    (folder / "out").mkdir()
    Path("night.yaml").write_text(Path("night.yaml").read_text().replace("seed: 7", "seed: 3"))
    (folder / "out/night_3.png").symlink_to("day_3.png")
    says = "out/night_3.png: is to be two pictures, since it leads to out/day_3.png: day.yaml, seed 3, and"
    with pytest.raises(UsageError, match=says):
        plan("day.yaml", "night.yaml", output_dir=Path("out"), existing=Existing.OVERWRITE)


def test_standard_input_is_read_once():
    with pytest.raises(UsageError, match="-: is given twice"):
        plan("-", "day.yaml", "-", name="{index}")


def test_all_problems_are_told_together():
    Path("bad.yaml").write_text(SCENE.replace("seed", "sede"))
    Path("worse.yaml").write_text(SCENE + "matrix: {bootstrap.steps: [0, -1, -2]}\n")
    with pytest.raises(SceneError) as error:
        plan("bad.yaml", "day.yaml", "worse.yaml", "gone.yaml")
    assert [line.split(": ")[0] for line in error.value.problems] == [
        "bad.yaml:3:1",
        "worse.yaml:7:31",
        "worse.yaml:7:35",
        "gone.yaml",
    ]


def test_seeds_are_given_in_one_place():
    with pytest.raises(UsageError, match="names seeds, and so does --seed"):
        plan("day.yaml", seeds=(1,), points=points_of([parse_axis("seed=2,3")]))
    assert targets(plan("night.yaml", points=points_of([parse_axis("seed=2,5-6")]))) == [
        "night_2.png",
        "night_5.png",
        "night_6.png",
    ]


def test_notes_and_warnings_are_those_of_the_points():
    Path("day.yaml").write_text(SCENE + "matrix: {bootstrap: [{steps: 0, show_through: true}, {steps: 1}]}\n")
    heard = []
    plan_batch(Request(("day.yaml",)), heard.append)
    (warning,) = [event.text for event in heard if isinstance(event, Warned)]
    assert "show_through: has no effect" in warning
    assert not [event for event in heard if isinstance(event, Noted)]


def test_a_request_takes_what_load_scene_takes(folder):
    batch = plan("day.yaml", seeds=(1,), overrides={"canvas.width": 96}, output_dir="new")
    assert (batch.jobs[0].scene.plan.canvas.width, targets(batch)) == (96, ["new/day_1.png"])
    assert targets(plan_batch(Request("day.yaml", name="{seed}"))) == ["3.png", "4.png"]
    data = {"smd": 1, "canvas": {"width": 64, "height": 64}, "background": {"prompt": "grass"}}
    assert targets(plan_batch(Request(data, name="x"))) == ["x.png"]


def test_many_files_that_exist_are_told_in_one_line(folder, monkeypatch):
    from smd_cli.app.batch import planning
    from smd_cli.app.batch.planning import _tell_left

    heard = []
    monkeypatch.setattr(planning, "_SHOWN", 2)
    _tell_left(plan("day.yaml").jobs, heard.append)
    assert [event.text for event in heard] == ["day_3.png: exists, skipped", "day_4.png: exists, skipped"]
    _tell_left(plan("day.yaml", seeds=(1, 2, 3)).jobs, heard.append)
    assert heard[-1].text == "3 files exist, skipped"


def through_a_pipe(value):
    sender, receiver = Pipe()
    with sender, receiver:
        sender.send(value)
        return receiver.recv()


def test_jobs_and_outcomes_can_be_sent():
    job = plan("film.yaml").jobs[0]
    sent = through_a_pipe(job)
    assert (sent.target, sent.model_key, sent.name) == (job.target, job.model_key, job.name)
    assert sent.scene.plan == job.scene.plan
    assert sent.scene.images.masks[0].tobytes() == job.scene.images.masks[0].tobytes()
    assert sent.scene.locate("regions", 0, "mask") == job.scene.locate("regions", 0, "mask")
    problem = job.scene.locate("seed").says("is wrong")
    outcome = through_a_pipe(Outcome(1, "failed", problems=(problem,)))
    assert (outcome.problems[0].text, outcome.problems[0].place) == (problem.text, problem.place)


def test_images_are_painted_again_from_files_of_before(folder):

    from smd_cli.app.batch.perform import check_unchanged

    Image.new("L", (64, 64), 255).save("m.png")
    text = SCENE.replace("{box: [0, 0, 0.5, 0.5]}", "m.png")
    Path("day.yaml").write_text(text)
    job = plan("day.yaml", "night.yaml").jobs[0]
    check_unchanged(job)
    Image.new("L", (64, 64), 128).save("m.png")
    with pytest.raises(AssetError, match="the mask of region 'sun' has changed since the batch began"):
        check_unchanged(job)
    Path("m.png").unlink()
    with pytest.raises(AssetError, match=r"^day.yaml:6:\d+: regions\[0\].mask: .*m.png: cannot be read"):
        check_unchanged(job)


def test_a_file_that_is_gone_ends_the_jobs_of_its_scene_alone(folder):
    Image.new("L", (64, 64), 255).save("sun.png")
    Path("day.yaml").write_text(SCENE.replace("{box: [0, 0, 0.5, 0.5]}", "sun.png"))
    job, _ = plan("day.yaml").jobs
    Path("sun.png").unlink()
    with Renderer() as renderer:
        outcome = perform(job, renderer, Existing.REPLACE_OWN, hint="")
    assert (outcome.status, outcome.exit_code) == ("failed", AssetError.exit_code)
    assert outcome.problems[0].endswith("sun.png: cannot be read: No such file or directory")


def jobs_of_models():
    """Six jobs of two models, in turns."""
    Path("other.yaml").write_text(SCENE + "model: {base: flatland, loras: [{path: x.safetensors}]}\n")
    points = points_of([parse_axis("bootstrap.steps=0,1,2")])
    mixed = [plan(name, points=points, seeds=(1,)).jobs for name in ("day.yaml", "other.yaml")]
    pairs = [job for pair in zip(*mixed, strict=True) for job in pair]
    return [job.__class__(n, job.scene, 1, job.target, job.point) for n, job in enumerate(pairs, start=1)]


def drain(queue: JobQueue, status="written", **outcome) -> list[int]:
    order, last = [], None
    while job := queue.take(last and last.model_key):
        last = job
        order.append(job.number)
        queue.end(Outcome(job.number, status, **outcome))
    return order


def test_jobs_of_one_model_follow_each_other():
    jobs = jobs_of_models()
    queue = JobQueue(jobs)
    assert (drain(queue), queue.ended, queue.total) == ([1, 3, 5, 2, 4, 6], 6, 6)


def test_workers_begin_with_models_of_their_own():
    queue = JobQueue(jobs_of_models())
    first, second = queue.take(), queue.take()
    assert first.model_key != second.model_key
    third = queue.take()  # of either model, there are two left
    assert third is not None
    queue.put_back(second)
    assert queue.take(second.model_key) is second


def test_after_a_failure(folder):
    assert drain(JobQueue(jobs_of_models(), fail_fast=True), "failed", exit_code=1) == [1]
    assert len(drain(JobQueue(jobs_of_models()), "failed", exit_code=1)) == 6
    queue = JobQueue(plan("day.yaml", "night.yaml", seeds=(1, 2, 3)).jobs)
    job = queue.take()
    ended = queue.end(Outcome(job.number, "failed", exit_code=AssetError.exit_code))
    assert [outcome.job for outcome in ended] == [1, 2, 3]  # its other seeds fail alike
    assert drain(queue) == [4, 5, 6]
    assert queue.ended == 6
