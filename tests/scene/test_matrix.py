"""The matrix of a scene: what its points set, and what is no matrix."""

from itertools import product

import pytest

from smd_cli.errors import SceneError, UsageError
from smd_cli.scene.loader import load_text
from smd_cli.scene.matrix import parse_axis, points_of

SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
seed: 3-4
background: {prompt: a sunset}
regions: [{name: sun, prompt: the sun, mask: {box: [0, 0, 0.5, 0.5]}}]
"""


def scene(matrix: str):
    return load_text(f"{SCENE}matrix: {matrix}\n", "s.yaml")


def test_every_combination_is_a_scene_of_its_own():
    loaded = scene("{bootstrap.steps: [0, 3], 'regions[sun].prompt': [a, b, c]}")
    points = [loaded.at_point(point).scene for point in loaded.points()]
    values = [(each.bootstrap.steps, each.regions[0].prompt) for each in points]
    assert values == list(product([0, 3], "abc"))
    assert all(each.seed == (3, 4) and not each.matrix for each in points)
    assert [point.text for point in loaded.points()][:2] == [
        "bootstrap.steps=0,regions[sun].prompt=a",
        "bootstrap.steps=0,regions[sun].prompt=b",
    ]


def test_a_list_names_the_points_themselves():
    loaded = scene("[{bootstrap.steps: 1, seed: 9}, {}, {canvas.width: 128}]")
    points = [loaded.at_point(point).scene for point in loaded.points()]
    assert [(each.bootstrap.steps, each.seed, each.canvas.width) for each in points] == [
        (1, (9,), 64),
        (2, (3, 4), 64),
        (2, (3, 4), 128),
    ]
    assert [point.text for point in loaded.points()] == ["bootstrap.steps=1", "", "canvas.width=128"]


def test_regions_of_a_point_are_told_by_their_names():
    regions = "[{name: owl, prompt: an owl, mask: rest}, {name: 2, prompt: x, mask: {box: [0, 0, 1, 1]}}]"
    (point, _) = scene(f"[{{regions: {regions}, background.prompt: snow}}, {{}}]").points()
    assert point.text == "regions=owl-2,background.prompt=snow"


def test_a_scene_without_a_matrix_is_its_only_point():
    loaded = load_text(SCENE, "s.yaml")
    (point,) = loaded.points()
    assert point.text == ""
    assert loaded.at_point(point) is loaded


def test_a_seed_left_to_chance_is_drawn_once():
    loaded = load_text(SCENE.replace("3-4", "random") + "matrix: {bootstrap.steps: [0, 1]}\n", "s.yaml")
    assert {loaded.at_point(point).scene.seed for point in loaded.points()} == {loaded.scene.seed}


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        ("{bootstrap.stepz: [1]}", "s.yaml:6:10: bootstrap.stepz: unknown key; did you mean steps?"),
        ("{bootstrap.steps: [1, -1]}", "s.yaml:6:31: bootstrap.steps: -1 is below 0"),
        ("{'regions[moon].prompt': [x]}", "s.yaml:6:10: there is no [moon]; known here: 0, sun"),
        ("{matrix: [1]}", "s.yaml:6:10: matrix cannot vary"),
        ("{a b: [1]}", "s.yaml:6:10: a b is no key"),
        ("{bootstrap.steps: 1}", "s.yaml:6:27: matrix.'bootstrap.steps': should be a list, not 1"),
        ("{bootstrap.steps: []}", "has 0 items"),
        ("3", "s.yaml:6:9: matrix: should be a mapping"),
        ("[3]", "s.yaml:6:10: matrix[0]: should be a mapping"),
    ],
)
def test_what_is_no_point_is_told_at_its_place(matrix, says):
    def every_point():
        loaded = scene(matrix)
        return [loaded.at_point(point) for point in loaded.points()]

    with pytest.raises(SceneError) as error:
        every_point()
    assert says in str(error.value)
    assert len(error.value.problems) == 1


def test_options_read_values_as_yaml_does():
    values = {
        "bootstrap.steps=0, 1": (0, 1),
        "sampler.indices=[0,12],[0,25]": ((0, 12), (0, 25)),
        "background.prompt='a, b',c": ("a, b", "c"),
        "seed=1-20": ("1-20",),
    }
    for text, expected in values.items():
        assert tuple(each.value.plain() for each in parse_axis(text).values) == expected


def test_zip_pairs_values():
    axes = [parse_axis("bootstrap.steps=0,1"), parse_axis("sampler.guidance_scale=1,1.5")]
    assert [point.text for point in points_of(axes, zipped=True)] == [
        "bootstrap.steps=0,sampler.guidance_scale=1",
        "bootstrap.steps=1,sampler.guidance_scale=1.5",
    ]
    assert len(points_of(axes)) == 4
    uneven = [axes[0], parse_axis("sampler.guidance_scale=1,2,3")]
    with pytest.raises(UsageError, match=r"^--zip: .*bootstrap.steps has 2, sampler.guidance_scale has 3"):
        points_of(uneven, zipped=True)


@pytest.mark.parametrize("text", ["x", "=1", "bootstrap.steps=", "a b=1", "smd=1", "bootstrap.steps=[1"])
def test_options_that_are_no_axis(text):
    with pytest.raises(UsageError) as error:
        parse_axis(text)
    assert str(error.value).startswith(f"--matrix {text}: ")


def test_a_key_has_one_axis_and_points_have_a_limit():
    with pytest.raises(UsageError, match=r"bootstrap\.steps is given twice"):
        points_of([parse_axis("bootstrap.steps=0,1"), parse_axis("bootstrap.steps=2")])
    numbers = ",".join(map(str, range(101)))
    with pytest.raises(UsageError, match="10,201 combinations are too many"):
        points_of([parse_axis(f"canvas.width={numbers}"), parse_axis(f"canvas.height={numbers}")])


def test_no_key_replaces_what_another_has_set():
    """A name would tell of a value that the picture does not have."""
    for first, second, says in (
        (
            "bootstrap.steps=0",
            "bootstrap[steps]=1",
            r"bootstrap\[steps\] is given twice, as bootstrap\.steps",
        ),
        ("canvas.width=64,128", "canvas={width: 64, height: 64}", r"canvas replaces canvas\.width, which"),
    ):
        with pytest.raises(UsageError, match=says):
            points_of([parse_axis(first), parse_axis(second)])
    with pytest.raises(
        SceneError, match=r"s\.yaml:6:\d+: canvas replaces canvas\.width, which is set before it"
    ):
        scene("[{canvas.width: 64, canvas: {width: 128, height: 64}}]").points()
    assert len(scene("{canvas: [{width: 64, height: 64}], canvas.width: [64, 128]}").points()) == 2


def test_a_scene_error_of_a_point_is_not_a_usage_error():
    loaded = scene("{a b: [1]}")
    with pytest.raises(SceneError):
        loaded.points()
