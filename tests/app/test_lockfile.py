"""The file smd.lock: read as it was written, and what is wrong with one is told in a line with its place."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from smd_cli.app.lock import lockfile
from smd_cli.app.lock.lockfile import Lock, read_lock
from smd_cli.app.lock.pictures import LockedPicture
from smd_cli.errors import AssetError, SmdError, UsageError
from tests.media.recipes import small_recipe

RECIPE = replace(small_recipe({"prompt": "an owl", "negative_prompt": ""}), pixels="cd" * 32)
PICTURE = LockedPicture("scenes/owl.yaml", {"canvas.width": 64}, 5, RECIPE, "ef" * 32, "out/owl_5.png")

SHARED = {**RECIPE.to_data(), "scene": {key: value for key, value in RECIPE.scene.items() if key != "seed"}}


def of_seed(seed: int, picture: LockedPicture = PICTURE) -> LockedPicture:
    return replace(picture, seed=seed, recipe=replace(RECIPE, scene={**RECIPE.scene, "seed": seed}))


def written(folder: Path, *pictures: LockedPicture) -> Path:
    path = folder / "smd.lock"
    Lock(path).updated(pictures).write()
    return path


def test_a_lock_is_read_as_it_was_written(tmp_path):
    film = replace(PICTURE, scene="../film.yaml", overrides={}, latents_sha256=None, file=None)
    path = written(tmp_path, PICTURE, film)
    assert read_lock(path).pictures == (film, PICTURE)  # in order of their scenes
    assert json.loads(path.read_text())["smd_lock"] == 1


def test_the_file_does_not_depend_on_the_order_in_which_pictures_were_made(tmp_path):
    one = written(tmp_path, of_seed(11), PICTURE, of_seed(2)).read_bytes()
    assert written(tmp_path, of_seed(2), of_seed(11), PICTURE).read_bytes() == one
    assert [picture.seed for picture in read_lock(tmp_path / "smd.lock").pictures] == [2, 5, 11]


def test_pictures_of_several_seeds_share_what_they_are_made_of(tmp_path):
    before = written(tmp_path, PICTURE).read_text().splitlines()
    after = written(tmp_path, PICTURE, of_seed(6)).read_text().splitlines()
    assert after[: len(before) - 5] == before[:-5]  # all but the brackets that follow
    assert len(after) - len(before) == 7  # a line for each of its five values, and brackets
    other = replace(PICTURE, seed=7, recipe=replace(of_seed(7).recipe, computation={"batch": 2}))
    path = written(tmp_path, PICTURE, of_seed(6), other)
    assert [len(group["pictures"]) for group in json.loads(path.read_text())["scenes"]] == [2, 1]
    assert read_lock(path).pictures == (PICTURE, of_seed(6), other)


def test_pictures_of_scenes_that_are_locked_again_replace_the_old_ones(tmp_path):
    other = replace(PICTURE, scene="cat.yaml")
    lock = Lock(tmp_path / "smd.lock").updated([PICTURE, of_seed(6), other])
    assert lock.updated([of_seed(7)]).pictures == (other, of_seed(7))


def test_overrides_keep_their_order(tmp_path):
    overrides = {"sampler.tile": 64, "bootstrap": {"steps": 1}, "bootstrap.steps": 0}
    (picture,) = read_lock(written(tmp_path, replace(PICTURE, overrides=overrides))).pictures
    assert list(picture.overrides) == list(overrides)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no lock: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "is no lock: it has no key smd_lock"),
        ("{}", "is no lock: it has no key smd_lock"),
        ('{"smd_lock": 1, "smd_lock": 1, "scenes": []}', "is no lock: the key 'smd_lock' is there twice"),
        (
            '{"smd_lock": 2, "scenes": []}',
            "is a lock of version 2; this smd knows 1; lock the scenes again with it, or take the smd that "
            "wrote the lock",
        ),
        ('{"smd_lock": true, "scenes": []}', "is a lock of version true; "),
        ('{"smd_lock": 1}', "scenes: Field required"),
        ('{"smd_lock": 1, "scenes": {}}', "scenes: Input should be a valid list"),
        ('{"smd_lock": 1, "scenes": [], "more": 1}', "more: Extra inputs are not permitted"),
        ("<<<<<<< HEAD", "is no lock: "),
        ("[" * 100_000, "is no lock: nested too deeply"),
        ("\udcff", "is no lock: no UTF-8 text"),
    ],
)
def test_a_file_that_is_no_lock(tmp_path, text, says):
    path = tmp_path / "smd.lock"
    path.write_bytes(os.fsencode(text))
    with pytest.raises(AssetError) as raised:
        read_lock(path)
    (problem,) = raised.value.problems
    assert problem.startswith(f"{path}: {says}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "ab" * 32}, "scenes[0]: was changed by hand: "),
        ({"sha256": "ab"}, "scenes[0].sha256: String should match pattern"),
        ({"scene": 7}, "scenes[0].scene: Input should be a valid string"),
        ({"scene": "/etc/passwd"}, "scenes[0]: '/etc/passwd' is no path from the lock's folder"),
        ({"scene": "C:\\owl.yaml"}, "scenes[0]: 'C:\\\\owl.yaml' is no path from the lock's folder"),
        ({"scene": "./owl.yaml"}, "scenes[0]: './owl.yaml' is no path from the lock's folder"),
        ({"overrides": [1]}, "scenes[0].overrides: Input should be a valid dictionary"),
        ({"pictures": []}, "scenes[0].pictures: List should have at least 1 item"),
        ({"recipe": {}}, "scenes[0]: its recipe is damaged ('scene')"),
        ({"recipe": {"scene": 3}}, "scenes[0]: its recipe is damaged ("),
        ({"recipe": {**SHARED, "recipe": 3}}, "scenes[0]: its recipe is damaged (is of a version"),
        ({"recipe": {**SHARED, "digests": 3}}, "scenes[0]: its recipe is damaged ("),
        ({"note": ""}, "scenes[0].note: Extra inputs are not permitted"),
    ],
)
def test_a_scene_that_is_damaged(tmp_path, change, says):
    path = written(tmp_path, PICTURE)
    data = json.loads(path.read_text())
    data["scenes"][0] |= change
    path.write_text(json.dumps(data))
    with pytest.raises(AssetError) as raised:
        read_lock(path)
    assert raised.value.problems[0].startswith(f"{path}: {says}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": "5"}, "scenes[0].pictures[0].seed: Input should be a valid integer"),
        ({"seed": -1}, "scenes[0].pictures[0].seed: Input should be greater than or equal to 0"),
        ({"seed": 6}, "scenes[0]: was changed by hand: "),
        ({"pixels": "ab"}, "scenes[0].pictures[0].pixels: String should match pattern"),
        ({"latents": "A" * 2**17}, "scenes[0].pictures[0].latents: String should have at most"),
        ({"latents_sha256": "ef"}, "scenes[0].pictures[0].latents_sha256: String should match pattern"),
        ({"file": "/tmp/a.png"}, "scenes[0]: '/tmp/a.png' is no path from the lock's folder"),
        ({"note": ""}, "scenes[0].pictures[0].note: Extra inputs are not permitted"),
    ],
)
def test_a_picture_that_is_damaged(tmp_path, change, says):
    path = written(tmp_path, PICTURE)
    data = json.loads(path.read_text())
    data["scenes"][0]["pictures"][0] |= change
    path.write_text(json.dumps(data))
    with pytest.raises(AssetError) as raised:
        read_lock(path)
    assert raised.value.problems[0].startswith(f"{path}: {says}")


@pytest.mark.parametrize("list_of", [lambda data: data["scenes"], lambda data: data["scenes"][0]["pictures"]])
def test_a_picture_that_is_there_twice(tmp_path, list_of):
    path = written(tmp_path, PICTURE)
    data = json.loads(path.read_text())
    list_of(data).append(list_of(data)[0])
    path.write_text(json.dumps(data))
    with pytest.raises(
        AssetError, match=r"scenes\[[01]\]: holds a picture once more: scenes/owl.yaml, seed 5"
    ):
        read_lock(path)


def test_many_problems_are_told_in_few_lines(tmp_path):
    path = tmp_path / "smd.lock"
    path.write_text(json.dumps({"smd_lock": 1, "scenes": [1] * 50}))
    with pytest.raises(AssetError) as raised:
        read_lock(path)
    assert len(raised.value.problems) == 11
    assert raised.value.problems[-1] == f"{path}: and 40 more problems"


def test_a_lock_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(AssetError, match="no such file; smd lock SCENE… makes one"):
        read_lock(tmp_path / "smd.lock")
    with pytest.raises(AssetError, match="cannot be read: Is a directory"):
        read_lock(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AssetError, match="is a pipe, not a regular file"):
        read_lock(tmp_path / "pipe")


def test_a_lock_that_is_too_large_is_neither_written_nor_read(tmp_path, monkeypatch):
    path = written(tmp_path, PICTURE)
    before = path.read_bytes()
    monkeypatch.setattr(lockfile, "MAX_BYTES", len(before))
    read_lock(path)
    with pytest.raises(SmdError, match="would hold more than"):
        Lock(path).updated([PICTURE, of_seed(6)]).write()
    assert path.read_bytes() == before
    monkeypatch.setattr(lockfile, "MAX_BYTES", len(before) - 1)
    with pytest.raises(AssetError, match="is larger than"):
        read_lock(path)


@pytest.mark.parametrize(
    ("scene", "lock", "name"),
    [
        ("a.yaml", "smd.lock", "a.yaml"),
        ("scenes/a.yaml", "smd.lock", "scenes/a.yaml"),
        ("scenes/a.yaml", "locks/smd.lock", "../scenes/a.yaml"),
        ("./scenes/../a.yaml", "smd.lock", "a.yaml"),
        ("linked/a.yaml", "smd.lock", "scenes/deep/a.yaml"),  # so that `..` leads where it says
        ("a.yaml", "linked/smd.lock", "../../a.yaml"),
        ("scenes/link.yaml", "smd.lock", "scenes/link.yaml"),  # its masks lie beside the link
    ],
)
def test_scenes_are_named_from_the_folder_of_the_lock(tmp_path, monkeypatch, scene, lock, name):
    monkeypatch.chdir(tmp_path)
    for folder in ("scenes/deep", "locks"):
        Path(folder).mkdir(parents=True)
    Path("linked").symlink_to("scenes/deep")
    Path("a.yaml").write_text("")
    for path in ("scenes/a.yaml", "scenes/deep/a.yaml"):
        Path(path).write_text("")
    Path("scenes/link.yaml").symlink_to("../a.yaml")
    file = Lock(Path(lock))
    assert file.name_of(Path(scene)) == name
    assert file.name_of(tmp_path / scene) == name
    assert file.path_of(name).samefile(scene)


def test_a_name_that_is_no_text_cannot_be_locked(tmp_path):
    with pytest.raises(UsageError, match="is no UTF-8 name"):
        Lock(tmp_path / "smd.lock").name_of(tmp_path / "\udce9.yaml")


def test_people_are_told_regions_by_their_names():
    regions = [
        {"name": "owl", "prompt": "an owl", "mask": "rest"},
        {"name": "tree", "prompt": "t", "mask": "rest"},
    ]
    picture = replace(
        PICTURE, scene="a.yaml", seed=3, overrides={"regions": regions, "sampler.indices": [0, 4]}
    )
    assert picture.name == "a.yaml, seed 3, regions=owl-tree, sampler.indices=[0, 4]"
