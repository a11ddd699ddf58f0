"""What Ray's workers do, in this process: scenes arrive with their files, and what was made goes back."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import pytest
from PIL import Image

from smd_cli.app.batch.jobs import Job
from smd_cli.app.batch.planning import plan_batch
from smd_cli.app.batch.ray_cluster import Share, connected
from smd_cli.app.batch.ray_options import RayOptions
from smd_cli.app.batch.ray_outputs import place_files
from smd_cli.app.batch.ray_parcels import Sender
from smd_cli.app.batch.ray_worker import Installed, Order, Worker, model_digests
from smd_cli.app.batch.request import Request
from smd_cli.app.batch.run import LocalEngine
from smd_cli.app.settings import RenderSettings
from smd_cli.errors import AssetError, DeviceError, MismatchError, UsageError
from smd_cli.media.files import Existing
from tests.cli.program import FLATLAND

SCENE = """
smd: 1
{task}
canvas: {{width: 64, height: 64}}
model: {model}
sampler: {{indices: [0, 25]}}
bootstrap: {{steps: 0}}
background: {{prompt: grass, image: photo.png}}
regions: [{{name: sun, prompt: the sun, mask: masks/sun.png}}]
"""
STREAM = """
smd: 1
task: stream
canvas: {width: 64, height: 64}
sampler: {indices: [0, 25]}
background: {prompt: grass}
regions: [{name: sun, prompt: the sun, mask: masks/sun.png}]
stream: {input: film/*.png, frames: 2, timeline: [{at: 1, region: sun, mask: masks/left.png}]}
"""


class Store:
    """Objects by what stands for them, each put once."""

    def __init__(self) -> None:
        self.objects: list[object] = []

    def put(self, what: object) -> str:
        self.objects.append(what)
        return f"object {len(self.objects) - 1}"

    def get(self, reference: str) -> object:
        return self.objects[int(reference.removeprefix("object "))]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of scenes; workers change the environment of this process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    scenes = tmp_path / "scenes"
    for name in ("masks", "film"):
        (scenes / name).mkdir(parents=True)
    Image.new("RGB", (64, 64), "navy").save(scenes / "photo.png")
    half = Image.new("L", (64, 64))
    half.paste(255, (0, 0, 64, 32))
    half.save(scenes / "masks" / "sun.png")
    half.rotate(90).save(scenes / "masks" / "left.png")
    for number, colour in enumerate(("navy", "green")):
        Image.new("RGB", (64, 64), colour).save(scenes / "film" / f"{number}.png")
    (scenes / "picture.yaml").write_text(SCENE.format(task="", model="flatland"))
    (scenes / "stream.yaml").write_text(STREAM)
    return tmp_path


def request(*scenes: str, **changes) -> Request:
    return Request(scenes, output_dir=Path("out"), settings=RenderSettings(), **changes)


def order(job: Job, **changes) -> Order:
    given = {"model": model_digests(job.scene, offline=True), "digests": job.digests, **changes}
    return Order(job.number, job.seed, job.target, job.point, **given)


def run_elsewhere(asked: Request, leaving: tuple[str, ...] = ("scenes",)) -> list:
    """Run jobs by a worker, on a machine that has none of the folders, and place what it made."""
    jobs, store = plan_batch(asked).jobs, Store()
    sender = Sender(store.put)
    sent = [sender.send(job.scene) for job in jobs]
    for gone in leaving:
        Path(gone).rename(f"{gone} of another machine")
    worker = Worker(asked.settings, {}, store.get)
    outcomes = []
    for job, each in zip(jobs, sent, strict=True):
        reply = worker.perform([each.parcel], order(job))
        assert reply.error is None
        outcomes.append(place_files(job, reply.outcome, reply, asked))
    worker.close()
    return outcomes


def run_here(asked: Request) -> list:
    return list(LocalEngine(asked).run(plan_batch(asked).jobs))


def written(folder: str = "out") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*.*"))}


@pytest.mark.parametrize("name", ["{seed}.png", "{seed}.jpg"])
def test_a_worker_makes_the_same_file_without_the_files_of_the_scene(name):
    asked = request("scenes/picture.yaml", seeds=(1, 2), name=name)
    here, expected = run_here(asked), written()
    shutil.rmtree("out")
    there = run_elsewhere(asked)
    assert written() == expected
    assert len(expected) == 2
    assert [each.output for each in there] == [each.output for each in here]
    assert [each.recipe for each in there] == [each.recipe for each in here]


@pytest.mark.parametrize("name", ["s.gif", "s/"])
def test_a_stream_is_made_without_its_input_and_masks(name):
    asked = request("scenes/stream.yaml", name=name)
    run_here(asked)
    expected = written()
    shutil.rmtree("out")
    run_elsewhere(asked)
    assert written() == expected
    assert len(expected) == (2 if name == "s/" else 1)


def test_a_file_is_in_the_store_once_whatever_scenes_name_it():
    jobs, store = plan_batch(request("scenes/picture.yaml", "scenes/stream.yaml")).jobs, Store()
    sender = Sender(store.put)
    kept = [sender.send(job.scene) for job in jobs]
    files = [each for each in store.objects if isinstance(each, bytes)]
    assert len(kept) == 2
    assert len(files) == len(set(files)) == 4  # two masks, two frames, one of them the photo's bytes


def test_a_worker_keeps_what_is_prepared_for_a_scene():
    (job,), store = plan_batch(request("scenes/picture.yaml")).jobs, Store()
    sent = Sender(store.put).send(job.scene)
    worker = Worker(RenderSettings(), {}, store.get)
    first = worker.perform([sent.parcel], order(job)).outcome
    second = worker.perform([sent.parcel], order(job)).outcome
    worker.close()
    assert first.timing["encode_s"] > 0
    assert second.timing["encode_s"] == second.timing["load_s"] == 0


def test_a_picture_that_changed_before_it_was_sent_is_refused_as_here(folder):
    (job,), store = plan_batch(request("scenes/picture.yaml")).jobs, Store()
    Image.new("RGB", (64, 64), "red").save("scenes/photo.png")
    sent = Sender(store.put).send(job.scene)
    worker = Worker(RenderSettings(), {}, store.get)
    outcome = worker.perform([sent.parcel], order(job)).outcome
    worker.close()
    assert outcome.status == "failed"
    place = job.scene.locate("background", "image")
    assert outcome.problems == (f"{place}: the background picture has changed since the batch began",)


def test_another_model_at_the_same_path_is_refused_by_name(folder):
    """Here it is the embedded one's copy: that the same bytes were fine elsewhere says nothing."""
    shutil.copytree(FLATLAND, folder / "model")
    shutil.copy("scenes/picture.yaml", "scenes/embedded.yaml")
    (folder / "scenes/picture.yaml").write_text(SCENE.format(task="", model=folder / "model"))
    (job, embedded), store = plan_batch(request("scenes/picture.yaml", "scenes/embedded.yaml")).jobs, Store()
    sent, asked = Sender(store.put).send(job.scene), order(job)
    assert asked.model == order(embedded).model
    weights = folder / "model/vae/diffusion_pytorch_model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    worker = Worker(RenderSettings(), {}, store.get)
    fine = worker.perform([Sender(store.put).send(embedded.scene).parcel], order(embedded))
    assert fine.outcome.status == "written"
    reply = worker.perform([sent.parcel], asked)
    worker.close()
    assert reply.outcome is None
    assert isinstance(reply.error, MismatchError)
    said = f"the model's weights, ./model, on {gethostname()} is not that of this batch: SHA-256 "
    assert str(reply.error).startswith(f"{job.scene.locate('model', 'base')}: {said}")


def test_messages_name_the_files_that_the_user_knows(folder):
    (folder / "scenes/picture.yaml").write_text(SCENE.format(task="", model="flatland") + "seed: 5\n")
    (job,), store = plan_batch(request("scenes/picture.yaml", name="x.png")).jobs, Store()
    sent = Sender(store.put).send(job.scene)
    worker = Worker(RenderSettings(), {}, store.get)
    broken = Job(job.number, job.scene, job.seed, "out/x" + "y" * 300 + ".png")
    outcome = worker.perform([sent.parcel], order(broken)).outcome
    worker.close()
    assert outcome.status == "failed"
    assert outcome.problems[0].startswith(broken.target)


def test_workers_get_the_threads_of_an_ordinary_run(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # as Ray sets it
    Worker(RenderSettings(), {"HF_HOME": "elsewhere"}, Store().get).close()
    assert "OMP_NUM_THREADS" not in os.environ
    Worker(RenderSettings(), {"OMP_NUM_THREADS": "3"}, Store().get).close()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ.pop("HF_HOME") == "elsewhere"


def test_what_appeared_meanwhile_is_looked_at_as_here(folder):
    asked = request("scenes/picture.yaml", name="a.png", existing=Existing.SKIP)
    (job,), store = plan_batch(asked).jobs, Store()
    worker = Worker(asked.settings, {}, store.get)
    reply = worker.perform([Sender(store.put).send(job.scene).parcel], order(job))
    worker.close()
    assert place_files(job, reply.outcome, reply, asked).status == "written"
    assert place_files(job, reply.outcome, reply, asked).status == "skipped"
    Image.new("RGB", (8, 8)).save("out/a.png")
    there = Path("out/a.png").read_bytes()
    outcome = place_files(job, reply.outcome, reply, asked)
    assert (outcome.status, outcome.exit_code) == ("failed", UsageError.exit_code)
    assert Path("out/a.png").read_bytes() == there
    update = replace(asked, existing=Existing.UPDATE)
    assert place_files(job, reply.outcome, reply, update).status == "written"
    assert Path("out/a.png").read_bytes() == reply.files[""]
    assert place_files(job, reply.outcome, reply, update).status == "skipped"


NODES = {"small": {"CPU": 2.0}, "gpus": {"CPU": 8.0, "GPU": 2.0}, "head": {"memory": 1.0}}


@pytest.mark.parametrize(
    ("share", "counts"),
    [
        (Share(1, 0), [2, 8, 0]),
        (Share(3, 0), [0, 2, 0]),
        (Share(1, 1), [0, 2, 0]),
        (Share(1, 0.1), [0, 8, 0]),
        (Share(1, 0.5), [0, 4, 0]),
    ],
)
def test_how_many_workers_a_node_has_room_for(share, counts):
    assert [share.times_in({"Resources": node}) for node in NODES.values()] == counts


@pytest.mark.parametrize(
    ("options", "device", "problem"),
    [
        (RayOptions(gpus_per_worker=1.5), "auto", "give a whole number"),
        (RayOptions(gpus_per_worker=-1), "auto", "give a whole number"),
        (RayOptions(gpus_per_worker=float("nan")), "auto", "give a whole number"),
        (RayOptions(gpus_per_worker=1), "cpu", "does not go with --device cpu"),
        (RayOptions(gpus_per_worker=0), "cuda", "does not go with --device cuda"),
        (RayOptions(), "cuda:1", "Ray chooses"),
        (RayOptions(workers=0), "auto", "at least 1"),
    ],
)
def test_options_that_contradict_each_other(options, device, problem):
    with pytest.raises(UsageError, match=problem):
        options.check(device)


@pytest.mark.parametrize("options", [RayOptions(gpus_per_worker=0.5), RayOptions(gpus_per_worker=0)])
def test_options_that_go_together(options):
    options.check("auto")


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(AssetError, match=r"--engine ray needs Ray: pip install 'smd-cli\[ray\]'"):
        RayOptions().check("auto")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no cluster answers there: Connection refused"),
        ("ray://127.0.0.1:1", "give the host and port"),
        ("somewhere:else", "is no host and port"),
    ],
)
def test_an_address_without_a_cluster_is_told_at_once(address, said):
    with pytest.raises(DeviceError, match=f"^--address {address}: {said}"), connected(address):
        pass


def test_libraries_of_other_versions_are_told():
    here = Installed.here()
    there = Installed(here.program, here.python, {**here.libraries, "torch": "1.0"})
    assert here.differences(here) == []
    assert there.differences(here) == [f"torch {here.libraries['torch']}, here 1.0"]
