"""Making bundles: what goes in, under which names, and that the scene in it is the same one."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from smd_cli.app.bundle.make import Wanted, make_bundle
from smd_cli.app.named_files import digests_of, picture_files
from smd_cli.app.scenes import load_scene
from smd_cli.errors import AssetError, SceneError, UsageError

HEAD = "smd: 1\ncanvas: {width: 64, height: 64}\nsampler: {indices: [0, 25]}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def draw(path, side=24):
    """Draw a mask, of a size that tells it from others."""
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, side, side))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    mask.save(path)


def write(text, path="day.yaml"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes((HEAD + text).encode())
    return path


def masks(*texts):
    """The regions of a scene, each with a mask's text as it stands in a file."""
    each = (f"  - name: r{at}\n    prompt: a cat\n    mask: {text}\n" for at, text in enumerate(texts))
    return "regions:\n" + "".join(each)


def bundle(scene, target="b.smd.zip", **options):
    return make_bundle(load_scene(scene, **options), Path(target))


def names(path="b.smd.zip"):
    with zipfile.ZipFile(path) as opened:
        return opened.namelist()


def content(name, path="b.smd.zip"):
    with zipfile.ZipFile(path) as opened:
        return opened.read(name).decode()


def assert_same(scene, path="b.smd.zip", *, names_too=True):
    """Assert that a scene and its bundle paint the same masks, and write the same recipes."""
    before, after = load_scene(scene), load_scene(path)
    if before.can_stream:
        before, after = before.for_task("stream"), after.for_task("stream")
    assert [mask.tobytes() for mask in before.images.masks] == [mask.tobytes() for mask in after.images.masks]
    assert digests_of(picture_files(before.plan)) == digests_of(picture_files(after.plan))
    assert before.plan.name == after.plan.name
    if names_too:
        assert before.plan.to_dict() == after.plan.to_dict()


def test_what_lies_below_the_scene_keeps_its_path_and_the_text_every_byte():
    draw("masks/one.png"), draw("two.png", 9), draw("unnamed.png")
    text = "# mine\r\n" + masks("masks/one.png   # the first", '"./two.png"') + "x-notes: [ a,  b ]\n\n# end"
    scene = write(text)
    made = bundle(scene)
    assert names() == ["day.yaml", "masks/one.png", "two.png"]
    assert content("day.yaml") == HEAD + text
    assert (made.scene, made.files, made.left_out) == ("day.yaml", ("masks/one.png", "two.png"), {})
    assert_same(scene)


def test_paths_that_lead_up_are_kept_too_and_tell_no_folder_that_they_do_not_name():
    draw("shared/a.png"), draw("home/me/b.png", 9), draw("home/me/scene/c.png", 30)
    scene = write(masks("../../../shared/a.png", "../b.png", "../scene/c.png"), "home/me/project/day.yaml")
    bundle(scene)
    assert names() == [
        "scene2/scene2/scene2/day.yaml",
        "scene2/scene2/b.png",
        "scene2/scene2/scene/c.png",
        "shared/a.png",
    ]
    assert content("scene2/scene2/scene2/day.yaml") == Path(scene).read_text()
    assert_same(scene)


def test_an_absolute_path_becomes_what_recipes_write_and_all_else_of_the_text_stays(folder):
    draw("at/a.png"), draw("elsewhere/b.png", 9), draw("home/c d.png", 30), draw("elsewhere/it's.png", 33)
    texts = (
        f"{folder}/at/a.png  # inside",
        f"&b '{folder}/elsewhere/b.png'",
        "~/c d.png",
        f'"{folder}/elsewhere/it\'s.png"',
        "*b",
    )
    written = "x-mine:   1\n" + masks(*texts)
    scene = write(written, "at/day.yaml")
    bundle(scene)
    assert names() == ["day.yaml", "a.png", "b.png", "c d.png", "it's.png"]
    wanted = ("./a.png  # inside", "&b './b.png'", "'./c d.png'", '"./it\'s.png"', "*b")
    assert content("day.yaml") == HEAD + "x-mine:   1\n" + masks(*wanted)
    assert_same(scene)


def test_two_files_of_one_name_are_told_apart(folder):
    draw("a/m.png"), draw("b/m.png", 9), draw("c/m.png", 30), draw("at/files/1.png", 33)
    scene = write(masks(*(f"{folder}/{each}/m.png" for each in "abca"), "files/1.png"), "at/day.yaml")
    bundle(scene)
    assert names() == ["day.yaml", "files/1.png", "files/2.png", "files/3.png", "m.png"]
    assert content("day.yaml") == HEAD + masks(
        "./m.png", "./files/2.png", "./files/3.png", "./m.png", "files/1.png"
    )
    assert_same(scene, names_too=False)


@pytest.mark.parametrize(
    "name", ["a:b.png", "what?.png", "back\\slash.png", "dot..png/. /x.png", "con.png", "M.PNG"]
)
def test_a_name_that_not_every_system_takes_becomes_another(name):
    draw("m.png"), draw(name, 9)
    scene = write(masks("m.png", f"'{name}'"))
    bundle(scene)
    assert set(names()) == {"day.yaml", "m.png", f"files/1{Path(name).suffix}"}
    assert_same(scene, names_too=False)


def test_a_path_through_a_folder_works_where_the_bundle_is_unpacked_by_hand():
    draw("m.png"), Path("empty").mkdir()
    scene = write(masks("empty/../m.png"))
    bundle(scene)
    assert names() == ["day.yaml", "empty/", "m.png"]
    subprocess.run(["unzip", "-q", "b.smd.zip", "-d", "by_hand"], check=True)
    assert_same(scene, "by_hand/day.yaml")
    assert_same(scene)


STREAM = (
    "background: {{prompt: a field}}\nstream:\n  input: {}\n"
    "  timeline:\n    - {{at: 1, region: r0, mask: {}}}\n"
)


@pytest.mark.parametrize(
    "text", ["clip", "clip/*.png", "./clip/", "../at/clip", "clip/**/*.png", "clip/[0-9]*.png"]
)
def test_the_frames_of_a_stream_and_the_masks_of_keyframes_are_in(text):
    for frame in range(3):
        draw(f"at/clip/{frame + 8}.png", 10 + frame)
    draw("at/clip/.hidden.png"), draw("at/m.png"), draw("at/later.png", 40)
    Path("at/clip/notes.txt").write_text("mine")
    scene = write(STREAM.format(f'"{text}"', "later.png") + masks("m.png"), "at/day.yaml")
    bundle(scene)
    files = {name for name in names() if not name.endswith(".yaml")}
    assert {Path(name).name for name in files} == {"8.png", "9.png", "10.png", "m.png", "later.png"}
    assert_same(scene)


@pytest.mark.parametrize("text", ["{}/clip", "{}/clip/*.png", "{}/**/1?.png"])
def test_frames_from_elsewhere_stay_in_order_and_apart_from_other_pictures(folder, text):
    for frame in range(3):
        draw(f"other/clip/{frame + 9}.png", 10 + frame)
    draw("at/m.png")
    scene = write(
        STREAM.format(f"'{text.format(folder / 'other')}'", "m.png") + masks("m.png"), "at/day.yaml"
    )
    bundle(scene)
    assert_same(scene, names_too=text == "{}/clip")


def test_a_picture_from_elsewhere_never_becomes_a_frame(folder):
    draw("at/0.png"), draw("at/1.png", 9), draw("other/2.png", 30)
    scene = write(
        STREAM.format('"*.png"', f"{folder}/other/2.png") + masks("{box: [0, 0, 1, 1]}"), "at/day.yaml"
    )
    bundle(scene)
    assert names() == ["day.yaml", "0.png", "1.png", "files/1.png"]
    assert_same(scene, names_too=False)


def test_a_frames_pattern_that_would_match_more_in_the_bundle_is_refused(folder):
    draw("at/deep/0.png"), draw("other/2.png", 30)
    scene = write(
        STREAM.format('"**/*.png"', f"{folder}/other/2.png") + masks("{box: [0, 0, 1, 1]}"), "at/day.yaml"
    )
    with pytest.raises(SceneError, match=r"stream.input would be other files in the bundle"):
        bundle(scene)
    assert not Path("b.smd.zip").exists()


def test_the_same_scene_and_files_make_the_same_bytes_wherever_they_lie(folder, monkeypatch):
    for at in ("here", "there/deeper"):
        draw(f"{at}/m.png")
        draw("shared/s.png", 9)
        write(masks("m.png", f"{folder}/shared/s.png"), f"{at}/day.yaml")
        Path(f"{at}/m.png").chmod(0o600 if at == "here" else 0o644)
        monkeypatch.chdir(folder / at)
        bundle("day.yaml", f"{folder}/{at[:4]}.smd.zip")
        monkeypatch.chdir(folder)
    assert Path("here.smd.zip").read_bytes() == Path("ther.smd.zip").read_bytes()
    assert str(folder).encode() not in Path("here.smd.zip").read_bytes()
    bundle("here.smd.zip", "again.smd.zip")
    assert Path("again.smd.zip").read_bytes() == Path("here.smd.zip").read_bytes()
    with zipfile.ZipFile("here.smd.zip") as opened:
        told = {(each.date_time, each.external_attr >> 16, each.compress_type) for each in opened.infolist()}
    assert told == {((1980, 1, 1, 0, 0, 0), 0o100644, zipfile.ZIP_STORED)}


def test_a_scene_that_options_change_is_written_anew():
    draw("m.png"), draw("n.png", 9)
    scene = write("# mine\nseed: 1-4\n" + masks("m.png"))
    changed = {"regions[r0].mask": "n.png", "canvas.width": 128}
    bundle(scene, overrides=changed)
    assert names() == ["day.yaml", "n.png"]
    assert load_scene("b.smd.zip").plan == load_scene("b.smd.zip").plan
    there = load_scene("b.smd.zip")
    assert (there.plan.canvas.width, there.seeds) == (128, (1, 2, 3, 4))
    assert there.plan.to_dict() == load_scene(scene, overrides=changed).plan.to_dict()


def test_a_model_stays_outside_and_keeps_its_name(folder):
    scene = write(
        f"model: {{base: {folder}/big.safetensors, vae: ../v, loras: [{{path: owner/name}}]}}\n"
        "background: {prompt: a field}\n",
        "at/day.yaml",
    )
    made = bundle(scene)
    assert names() == ["scene/day.yaml"]
    assert made.left_out == {"model.base": "./big.safetensors", "model.vae": "../v"}
    assert_same(scene)


def test_the_files_that_a_matrix_names_are_in_too(folder):
    for name, side in {"m.png": 10, "n.png": 20, "other/o.png": 30}.items():
        draw(name, side)
    matrix = "matrix:\n  bootstrap.steps: [0, 1]\n  regions[r0].mask: [n.png, {}]  # two\n"
    scene = write(matrix.format(f"{folder}/other/o.png") + masks("m.png"))
    bundle(scene)
    assert names() == ["day.yaml", "m.png", "n.png", "other/o.png"]
    assert content("day.yaml") == HEAD + matrix.format("./other/o.png") + masks("m.png")
    (folder / "other/o.png").rename("gone.png")
    again = load_scene("b.smd.zip")
    painted = [again.at_point(point).images.masks[0].tobytes() for point in again.points]
    draw("other/o.png", 30)
    mine = load_scene(scene)
    assert painted == [mine.at_point(point).images.masks[0].tobytes() for point in mine.points]
    assert len(set(painted)) == 2


def test_an_output_that_is_read_or_somebody_elses_stays(folder):
    draw("m.png")
    scene = write(masks("m.png"))
    bundle(scene)
    before = Path("b.smd.zip").read_bytes()
    bundle(scene)  # the same bundle may be replaced by itself
    with pytest.raises(UsageError, match=r"b\.smd\.zip: is the scene, which is read"):
        bundle("b.smd.zip", overrides={"seed": 3})
    draw("m.png", 50)
    with pytest.raises(
        UsageError, match=r"b\.smd\.zip: exists, and is another file; --overwrite replaces it"
    ):
        bundle(scene)
    assert Path("b.smd.zip").read_bytes() == before
    make_bundle(load_scene(scene), Path("b.smd.zip"), Wanted(overwrite=True))
    assert_same(scene)
    with pytest.raises(UsageError, match=r"day\.png: bundles are zip files"):
        bundle(scene, "day.png")
    assert sorted(path.name for path in folder.iterdir()) == ["b.smd.zip", "day.yaml", "m.png"]


def test_a_file_that_the_scene_names_only_for_another_task_has_to_be_there():
    write("task: generate\nbackground: {prompt: a field}\nstream: {input: gone.mp4}\n")
    with pytest.raises((AssetError, SceneError), match=r"day\.yaml:\d+:\d+: stream"):
        bundle("day.yaml")
    assert not Path("b.smd.zip").exists()
