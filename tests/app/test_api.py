"""The Python API as a script meets it, on the embedded model."""

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

import smd_cli as smd
from smd_cli.engine.events import Noted, Started, StreamProgress, Warned
from smd_cli.media.sources import count_frames

ROOT = Path(__file__).parents[2]
SMALL = {
    "smd": 1,
    "canvas": {"width": 64, "height": 64},
    "seed": 5,
    "sampler": {"indices": [0, 25]},
    "background": {"prompt": "sunset"},
    "regions": [{"name": "sun", "prompt": "the sun", "mask": {"box": [0, 0, 0.5, 0.5]}}],
}


def examples() -> list[str]:
    """Read the code of docs/api.md, block by block."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.DOTALL)


def small_scenes() -> None:
    """The project's scenes that the examples name, with canvases and pictures that take less time."""
    shutil.copytree(ROOT / "scenes", "scenes", ignore=shutil.ignore_patterns("gallery*", "*.lock"))
    for name, side in (("times_square", 256), ("single", 256)):
        path = Path("scenes", f"{name}.yaml")
        text = path.read_text(encoding="utf-8")
        assert f"height: {side}" in text
        path.write_text(text.replace(f"height: {side}", "height: 64"), encoding="utf-8")
    with Image.open("scenes/pictures/lake.png") as lake:
        lake.resize((96, 64)).save("scenes/pictures/lake.png")


def test_the_examples_of_the_docs_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_scenes()
    names: dict[str, object] = {}
    blocks = examples()
    assert len(blocks) == 7
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    made = {path.name for path in tmp_path.iterdir()}
    assert {"a.png", "b.png", "film.gif", "frame_2.png"} <= made


def test_importing_the_package_and_opening_a_scene_imports_no_torch():
    code = (
        "import sys, smd_cli as smd; light = 'pydantic' not in sys.modules;"
        f"smd.load_scene({str(ROOT / 'scenes/valley.yaml')!r}); smd.Renderer();"
        "print(light, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False"]


def test_a_name_that_is_not_there_is_told():
    with pytest.raises(AttributeError, match="has no attribute 'render'"):
        smd.render  # noqa: B018
    assert set(smd.__all__) <= set(dir(smd))
    assert all(getattr(smd, name) for name in smd.__all__)
    with pytest.raises(TypeError, match="not int"):
        smd.load_scene(3)


def test_a_scene_is_the_same_from_a_file_its_text_and_its_data(tmp_path):
    import yaml

    path = tmp_path / "scene.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    sources = (path, str(path), path.read_text(), SMALL)
    plans = [smd.load_scene(source, base_dir=tmp_path).plan for source in sources]
    assert all(plan == plans[0] for plan in plans)


def test_overrides_obey_the_rules_of_a_scene():
    scene = smd.load_scene(
        SMALL, overrides={"canvas.width": 128, "regions[sun].prompt": "the moon", "sampler.indices": (0, 4)}
    )
    assert scene.plan.canvas.width == 128
    assert scene.plan.regions[0].prompt.text == "the moon"
    assert scene.plan.sampler.indices == (0, 4)
    with pytest.raises(smd.SceneError) as caught:
        smd.load_scene(SMALL, overrides={"canvas.width": 65, "regions[0].prompt_strength": 2})
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "override canvas.width",
        "override regions[0].prompt_strength",
    ]
    for path in ("regions[moon].prompt", "canvas width"):
        with pytest.raises(smd.UsageError, match="override"):
            smd.load_scene(SMALL, overrides={path: "x"})


@pytest.mark.parametrize("values", ["bootstrap.steps", ["bootstrap.steps"], [{"seed": 1}, 2], {"a b": [0]}])
def test_what_is_no_matrix_is_told(values):
    with pytest.raises(smd.UsageError, match="matrix: "):
        smd.matrix(values)


@pytest.mark.parametrize("canvas", [object(), {1: 64}, float("nan")])
def test_data_that_no_scene_can_hold_is_told(canvas):
    with pytest.raises(smd.SceneError, match="scene"):
        smd.load_scene({"smd": 1, "canvas": canvas, "background": {"prompt": "sunset"}})


def test_relative_paths_of_data_start_at_the_base_dir(tmp_path):
    from PIL import Image

    (tmp_path / "masks").mkdir()
    Image.new("L", (64, 32), 255).save(tmp_path / "masks" / "half.png")
    data = {**SMALL, "regions": [{"name": "a", "prompt": "a cat", "mask": "masks/half.png"}]}
    heard = []
    scene = smd.load_scene(data, base_dir=tmp_path, listener=heard.append)
    assert scene.images.coverage(0) == 1
    assert [type(event) for event in heard] == [Noted, Warned]
    with pytest.raises(smd.SmdError, match=r"regions\[0\]\.mask.*no such file"):
        smd.load_scene(data, base_dir=tmp_path / "masks")


def test_models_stay_loaded_and_scenes_prepared():
    first, other = smd.load_scene(SMALL), smd.load_scene(SMALL, overrides={"background.prompt": "grass"})
    many_steps = smd.load_scene(SMALL, overrides={"sampler": {"kind": "ddim", "steps": 2}})
    heard = []
    with smd.Renderer(listener=heard.append) as renderer:
        pictures = [renderer.render(scene, seed=seed) for scene, seed in ((first, 1), (first, 2), (other, 1))]
        again = smd.Renderer().render(first, seed=1)
        renderer.render(many_steps)  # without the LoRA of few steps the weights are others
    phases = [event.phase for event in heard if isinstance(event, Started)]
    once = ["load", "encode", "denoise", "decode"]
    assert phases == [*once, *once[2:], *once[1:], *once]
    assert pictures[0].image.tobytes() == again.image.tobytes()
    assert pictures[0].recipe == again.recipe
    assert len({picture.image.tobytes() for picture in pictures}) == 3
    assert pictures[1].timing["load_s"] == 0 < pictures[0].timing["load_s"]


def test_a_stream_s_first_frame_is_the_picture_and_its_frames_are_what_is_written(tmp_path):
    scene = smd.load_scene(SMALL, overrides={"stream.frames": 3})
    heard = []
    with smd.Renderer(listener=heard.append) as renderer:
        picture = renderer.render(scene)
        stream = renderer.stream(scene)
        frames = list(stream)
        report = renderer.stream(scene).write(f"{tmp_path}/frames/")
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert abs(_values(frames[0].image) - _values(picture.image)).max() <= 1
    assert stream.work == tuple(3 * count for count in picture.work)
    progress = [event for event in heard if isinstance(event, StreamProgress)]
    assert [event.frames for event in progress] == [1, 2, 3] * 2
    assert report.progress == progress[-1]
    from PIL import Image

    for frame in frames:
        with Image.open(tmp_path / "frames" / f"{frame.number:06}.png") as written:
            assert written.tobytes() == frame.image.tobytes()


def test_a_stream_can_be_left_early_and_ends_with_its_renderer():
    scene = smd.load_scene(SMALL, overrides={"stream.frames": 1000})
    before = threading.active_count()
    with smd.Renderer() as renderer:
        for frame in renderer.stream(scene):
            if frame.number == 2:
                break
        assert threading.active_count() == before
        assert renderer.render(scene).image.size == (64, 64)
        stream = renderer.stream(scene)
        frames = iter(stream)
        next(frames)
        with pytest.raises(smd.UsageError, match="rendered once"):
            iter(stream)
    assert len(list(frames)) < 20
    assert threading.active_count() == before


def test_a_stream_that_is_closed_has_its_file_in_place_before_its_threads_end(tmp_path, monkeypatch):
    """A frame of a large canvas can take a minute."""
    from smd_cli.engine.batching import Evaluator

    target, is_told, found = tmp_path / "a.gif", threading.Event(), []

    def evaluate(self, asked):
        if list(tmp_path.iterdir()):  # the first frame is being written, or has been
            stream.close()
            is_told.wait(60)
            found.append(is_told.is_set())
        return whole(self, asked)

    def listen(event):
        if isinstance(event, Noted) and "are written, and play" in event.text:
            is_told.set()

    whole = Evaluator.__call__
    monkeypatch.setattr(Evaluator, "__call__", evaluate)
    with smd.Renderer(listener=listen) as renderer:
        stream = renderer.stream(smd.load_scene(SMALL, overrides={"stream.frames": 100}))
        report = stream.write(target)
    assert found
    assert all(found)
    assert report.progress.frames == count_frames(target)


def test_a_stream_s_file_is_guarded(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "navy").save(tmp_path / "in.gif")
    (tmp_path / "theirs.gif").write_bytes(b"not ours")
    scene = smd.load_scene(SMALL, overrides={"stream": {"frames": 1, "input": str(tmp_path / "in.gif")}})
    with smd.Renderer() as renderer:
        for name, says in (
            ("in.gif", "is the stream's input, which is read"),
            ("theirs.gif", "no picture of smd's"),
        ):
            with pytest.raises(smd.UsageError, match=says):
                renderer.stream(scene).write(tmp_path / name)
    assert (tmp_path / "theirs.gif").read_bytes() == b"not ours"


def test_warnings_reach_their_own_listener_once_a_render_or_python_s_logging(caplog):
    faint = smd.load_scene(SMALL, overrides={"masks": {"strength": 0.01}, "stream.frames": 2})
    heard, other = [], []
    with smd.Renderer(listener=heard.append) as renderer, smd.Renderer(listener=other.append) as second:
        for _ in renderer.stream(faint):
            second.render(smd.load_scene(SMALL))
        renderer.render(faint)
    texts = [event.text for event in heard if isinstance(event, Warned)]
    assert len(texts) == 2
    assert "is not painted" in texts[0] == texts[1]
    assert not [event for event in other if isinstance(event, Warned)]
    caplog.clear()
    smd.Renderer().render(faint)
    assert "is not painted" in caplog.text


@pytest.mark.parametrize("settings", [{"batch": 0}, {"batch": -1}, {"batch": "many"}, {"batch": True}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(smd.UsageError, match="give auto or a number from 1 to 1024"):
        smd.Renderer(**settings)


@pytest.mark.parametrize("seed", ["7", 1.5, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(smd.UsageError, match="whole number"):
        smd.Renderer().render(smd.load_scene(SMALL), seed=seed)


def test_a_scene_is_held_to_the_model_that_is_loaded_already():
    narrow = {**SMALL, "canvas": {"width": 64, "height": 64, "wrap": "x"}}
    with smd.Renderer() as renderer:
        problems = []
        for _ in range(2):
            with pytest.raises(smd.SceneError) as caught:
                renderer.render(smd.load_scene(narrow))
            problems.append(caught.value.problems)
            renderer.render(smd.load_scene(SMALL))
    assert problems[0] == problems[1]
    assert problems[0][0].startswith("scene: canvas.width: ")


def test_a_model_that_is_not_there_does_not_cost_the_one_that_is():
    heard = []
    with smd.Renderer(listener=heard.append) as renderer:
        renderer.render(smd.load_scene(SMALL))
        with pytest.raises(smd.AssetError):
            renderer.render(smd.load_scene(SMALL, overrides={"model": "./nowhere"}))
        heard.clear()
        renderer.render(smd.load_scene(SMALL))
    assert "load" not in [event.phase for event in heard if isinstance(event, Started)]


def test_what_a_scene_takes_depends_on_its_task():
    scene = smd.load_scene(SMALL, overrides={"sampler.indices": None})
    picture, panorama = (smd.plan(scene, task=task).forecast for task in (None, "panorama"))
    assert len(picture.steps) == len(scene.plan.sampler.indices) > len(panorama.steps) == 4


def test_a_scene_of_one_task_is_not_for_another():
    film, picture = (smd.load_scene({**SMALL, "task": task}) for task in ("stream", "generate"))
    with smd.Renderer() as renderer:
        with pytest.raises(smd.UsageError, match=r"Renderer\.stream"):
            renderer.render(film)
        with pytest.raises(smd.SceneError, match="this scene is for `smd generate`"):
            renderer.stream(picture)
        with pytest.raises(smd.UsageError, match="seed -1"):
            renderer.render(picture, seed=-1)


def test_a_picture_of_another_program_is_not_replaced(tmp_path):
    scene = smd.load_scene(SMALL)
    (tmp_path / "a.png").write_bytes(b"not ours")
    with smd.Renderer(metadata=False) as renderer:
        picture = renderer.render(scene)
    assert picture.recipe is None
    with pytest.raises(smd.UsageError, match="no picture of smd's"):
        picture.save(tmp_path / "a.png")
    with pytest.raises(smd.UsageError, match=r"give a name that ends in \.png"):
        picture.save(tmp_path / "a.bmp")
    picture.save(tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def _values(image):
    import numpy as np

    return np.asarray(image).astype(int)
