"""The commands that need no model: what they print, where, and how they end."""

import json
import os
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from docs.generate import ROOT, generated
from smd_cli import __version__
from smd_cli.cli.app import app
from smd_cli.cli.program import program
from tests.cli.program import smd, told

SCENE = """\
smd: 1
canvas: {width: 128, height: 64}
background: {prompt: a field}
regions:
  - {name: boy, prompt: a boy, mask: {box: [0, 0, 0.5, 1]}}
"""

RUN = "import sys\nsys.argv = {}\nfrom smd_cli.__main__ import main\n"


def process(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python code as the program would be run: in a fresh interpreter, from the project's folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT, **options
    )


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(SCENE)
    return path


def taken(folder: Path) -> Path:
    """A file that no command may replace."""
    path = folder / "mine.png"
    path.write_text("mine")
    return path


def test_what_libraries_warn_their_developers_of_is_not_said(tmp_path: Path) -> None:
    odd = bytearray(png_of_two_frames())
    place = odd.index(b"acTL")
    odd[place + 4 : place + 8] = bytes(4)  # no frames: Pillow warns of that
    odd[place + 12 : place + 16] = zlib.crc32(odd[place : place + 12]).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(odd)
    done = process(RUN.format(["smd", "inspect", str(tmp_path / "x.png")]) + "main()")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


def png_of_two_frames() -> bytes:
    data, frames = BytesIO(), [Image.new("L", (8, 8), level) for level in (0, 9)]
    frames[0].save(data, "png", save_all=True, append_images=frames[1:])
    return data.getvalue()


class TestCheck:
    def test_a_good_scene(self, scene: Path) -> None:
        done = smd("check", str(scene))
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout.startswith(
            f"{scene}: good, 128x64 px\n  region  covers  visible\n  boy      50.0%    50.0%\n"
        )

    def test_what_later_regions_leave_of_a_region_is_told(self, scene: Path) -> None:
        scene.write_text(SCENE + "  - {name: meadow, prompt: grass, mask: {box: [0.25, 0, 1, 0.5]}}\n")
        assert smd("check", str(scene)).stdout.splitlines()[1:4] == [
            "  region  covers  visible",
            "  boy      50.0%    37.5%",
            "  meadow   37.5%    37.5%",
        ]

    def test_quiet_leaves_the_exit_code(self, scene: Path) -> None:
        done = smd("check", str(scene), "-q")
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
        scene.write_text(SCENE.replace("128", "129"))
        done = smd("check", str(scene), "-q")
        assert (done.exit_code, done.stdout) == (3, "")
        assert "canvas.width" in done.stderr

    def test_a_note_on_a_picture_of_several_scenes_is_said_once(self, scene: Path, tmp_path: Path) -> None:
        Image.new("L", (64, 32), 255).save(tmp_path / "m.png")
        scene.write_text(SCENE.replace("{box: [0, 0, 0.5, 1]}", "m.png"))
        (tmp_path / "other.yaml").write_text(scene.read_text())
        done = smd("check", str(scene), str(tmp_path / "other.yaml"))
        assert done.exit_code == 0
        assert done.stderr.count("m.png: resized") == 1

    def test_standard_input(self) -> None:
        assert smd("check", "-", stdin=SCENE).exit_code == 0

    def test_every_problem_is_one_line_on_stderr(self, scene: Path) -> None:
        scene.write_text(SCENE.replace("128", "129").replace("name: boy", "nme: boy"))
        done = smd("check", str(scene))
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr.splitlines() == [
            f"{scene}:2:17: canvas.width: 129 is not a multiple of 8; the nearest is 128",
            f"{scene}:5:6: regions[0].nme: unknown key; did you mean name?",
        ]

    def test_all_scenes_are_checked(self, scene: Path, tmp_path: Path) -> None:
        (tmp_path / "masked.yaml").write_text(SCENE.replace("{box: [0, 0, 0.5, 1]}", "gone.png"))
        done = smd("check", str(tmp_path / "masked.yaml"), str(scene))
        assert done.exit_code == 4
        assert "good" in done.stdout
        assert "gone.png: no such file" in done.stderr
        assert smd("check", str(tmp_path / "masked.yaml"), str(tmp_path / "no.yaml")).exit_code == 3

    def test_set_and_size(self, scene: Path) -> None:
        done = smd(
            "check", str(scene), "--set", "regions[boy].mask={box: [0,0,0.25,1]}", "-W", "256", "-H", "128"
        )
        assert done.stdout.startswith(f"{scene}: good, 256x128 px\n")
        assert done.stdout.splitlines()[2] == "  boy      25.0%    25.0%"
        assert smd("check", str(scene), "--set", "regions[boy].prompt_strength=2").exit_code == 3
        assert smd("check", str(scene), "--set", "regions[girl].prompt=x").exit_code == 2
        assert smd("check", str(scene), "--set", "nothing").exit_code == 2

    def test_the_share_of_a_map_that_belongs_to_no_region(self, scene: Path) -> None:
        image = Image.new("RGB", (128, 64), "#2040c0")
        image.paste("#f92f6c", (0, 0, 32, 64))
        image.save(scene.parent / "map.png")
        mask = "regions[boy].mask={image: map.png, color: '#2040c0'}"
        done = smd("check", str(scene), "--set", mask)
        assert done.stdout.splitlines()[2:4] == [
            "  boy      75.0%    75.0%",
            "  25.0% of map.png belongs to no region",
        ]
        (found,) = json.loads(smd("check", str(scene), "--json", "--set", mask).stdout)["scenes"]
        assert found["maps"] == [{"image": str(scene.parent / "map.png"), "unclaimed": 0.25}]

    def test_json(self, scene: Path, tmp_path: Path) -> None:
        Image.new("L", (64, 32), 255).save(tmp_path / "m.png")
        scene.write_text(SCENE.replace("{box: [0, 0, 0.5, 1]}", "m.png"))
        done = smd("check", str(scene), str(tmp_path / "no.yaml"), "--json", "-q")
        good, bad = json.loads(done.stdout)["scenes"]
        assert good["ok"]
        assert good["canvas"] == {"width": 128, "height": 64, "wrap": "none"}
        assert good["regions"] == [{"name": "boy", "coverage": 1.0, "visible": 1.0}]
        assert len(good["notes"]) == len(good["warnings"]) == 1
        assert bad == {
            "scene": str(tmp_path / "no.yaml"),
            "ok": False,
            "problems": [told("no such file", file=str(tmp_path / "no.yaml"))],
            "warnings": [],
            "notes": [],
            "models": [],
        }

    def test_notes_and_warnings_go_to_stderr_unless_quiet(self, scene: Path, tmp_path: Path) -> None:
        Image.new("L", (64, 32), 255).save(tmp_path / "m.png")
        scene.write_text(SCENE.replace("{box: [0, 0, 0.5, 1]}", "m.png"))
        kinds = [line.split(":")[0] for line in smd("check", str(scene)).stderr.splitlines()]
        assert kinds == ["note", "warning"]
        assert smd("check", "-q", str(scene)).stderr == ""

    def test_an_idle_value_is_a_warning(self, scene: Path) -> None:
        done = smd("check", str(scene), "--set", "sampler={guidance: none, guidance_scale: 3}")
        assert done.exit_code == 0
        assert "guidance_scale: 3 has no effect with guidance: none" in done.stderr

    def test_preview(self, scene: Path, tmp_path: Path) -> None:
        assert smd("check", str(scene), "--preview", str(tmp_path / "new" / "p.png")).exit_code == 0
        with Image.open(tmp_path / "new" / "p.png") as picture:
            assert picture.format == "PNG"
            assert picture.width > 500

    def test_no_preview_of_a_bad_scene_or_where_none_can_be(self, scene: Path, tmp_path: Path) -> None:
        assert smd("check", str(scene), "--preview", str(tmp_path)).exit_code == 2
        assert "ends in .png" in smd("check", str(scene), "--preview", str(tmp_path / "p.jpg")).stderr
        assert "give another name" in smd("check", str(scene), "--preview", str(taken(tmp_path))).stderr
        assert smd("check", str(scene), str(scene), "--preview", str(tmp_path / "p.png")).exit_code == 2
        assert smd("check", str(tmp_path / "no.yaml"), "--preview", str(tmp_path / "p.png")).exit_code == 3
        assert not (tmp_path / "p.png").exists()


class TestSchemaAndNew:
    def test_schema_is_printed_or_written(self, tmp_path: Path) -> None:
        schema = json.loads(smd("schema").stdout)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        path = tmp_path / "scene.schema.json"
        assert smd("schema", "-o", str(path)).stdout == f"{path}\n"
        assert json.loads(path.read_text()) == schema

    def test_schema_respects_files_that_exist(self, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        path.write_text("mine")
        assert smd("schema", "-o", str(path), "--fail-existing").exit_code == 2
        assert smd("schema", "-o", str(path), "--skip-existing").stdout == ""
        assert smd("schema", "-o", str(path), "--fail-existing", "--overwrite").exit_code == 2
        assert path.read_text() == "mine"
        assert smd("schema", "-o", str(path)).exit_code == 2
        assert path.read_text() == "mine"
        assert smd("schema", "-o", str(path), "--overwrite").exit_code == 0
        assert path.read_text() != "mine"

    def test_a_new_scene_is_good_and_never_replaces_one(self, tmp_path: Path) -> None:
        done = smd("new", str(tmp_path / "mine"))
        path = tmp_path / "mine.yaml"
        assert done.stdout == f"{path}\n"
        assert smd("check", str(path)).exit_code == 0
        assert str(ROOT) not in path.read_text()
        again = smd("new", str(path))
        assert (again.exit_code, smd("new", "").exit_code) == (2, 2)
        assert "exists already; give another name" in again.stderr


class TestProgram:
    def test_version_and_help(self) -> None:
        assert smd("--version").stdout == f"smd {__version__}\n"
        listed = smd("--help").stdout.partition("Commands:")[2]
        assert "  render    Render scenes, each by its own task\n" in listed
        assert "..." not in listed
        assert smd("check", "-h").exit_code == 0

    @pytest.mark.parametrize("arguments", [["chek"], ["check"], ["check", "--foo"], ["--foo"], []])
    def test_usage_errors(self, arguments: list[str]) -> None:
        done = smd(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")

    def test_a_fault_of_the_program_is_one_line(self, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("by\nzero")

        monkeypatch.setattr("smd_cli.app.origin.load", broken)
        done = smd("check", str(scene))
        assert done.exit_code == 1
        assert done.stderr == "internal error: ZeroDivisionError: by zero (run with -v for the traceback)\n"
        verbose = smd("check", str(scene), "-v")
        assert "Traceback" in verbose.stderr
        assert "scenes.py" in verbose.stderr

    @pytest.mark.parametrize("arguments", [["--help"], ["check", "scenes/times_square.yaml"]])
    def test_no_heavy_import(self, arguments: list[str]) -> None:
        """Importing torch or numpy takes longer than everything that these commands do."""
        ending = "try: main()\nfinally: sys.exit(str({'torch', 'numpy', 'rich'} & set(sys.modules)))"
        assert process(RUN.format(["smd", *arguments]) + ending).stderr == "set()\n"

    def test_a_command_set_up_alone_is_the_same(self) -> None:
        everything = app.registered_commands
        assert len(everything) > 5
        for command in everything:
            alone = program(command.name)
            assert [command.name] == [kept.name for kept in alone.registered_commands]
            asked = [command.name or "", "--help"]
            assert CliRunner().invoke(alone, asked).stdout == CliRunner().invoke(app, asked).stdout
        for asked_for in (None, "bench", "chekc", "--help"):
            all_of_it = CliRunner().invoke(program(asked_for), ["--help"]).stdout
            assert all_of_it == CliRunner().invoke(app, ["--help"]).stdout

    def test_an_interrupt_ends_with_130(self, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("smd_cli.app.origin.load", interrupted)
        done = smd("check", str(scene))
        assert (done.exit_code, done.stdout, done.stderr) == (130, "", "interrupted\n")

    def test_a_closed_pipe_is_no_error(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = process(RUN.format(["smd", "check", "scenes/single.yaml"]) + "main()", stdout=writer)
        os.close(writer)
        assert done.stderr == ""

    def test_a_narrow_encoding_spells_names_out(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_text(SCENE.replace("name: boy", "name: größe"), encoding="utf-8")
        narrow = "sys.stdout.reconfigure(encoding='ascii')\n"
        done = process(RUN.format(["smd", "check", str(tmp_path / "s.yaml")]) + narrow + "main()")
        assert (done.returncode, done.stderr) == (0, "")
        assert r"gr\xf6\xdfe" in done.stdout

    def test_no_colours_off_a_terminal(self, tmp_path: Path) -> None:
        assert "\x1b" not in smd("check", str(tmp_path / "no.yaml")).stderr


@pytest.mark.parametrize("path", sorted((ROOT / "scenes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scene_is_good_and_names_the_schema(path: Path) -> None:
    done = smd("check", str(path))
    assert (done.exit_code, done.stderr) == (0, "")
    modeline = path.read_text().splitlines()[0]
    assert (
        path.parent / modeline.partition("$schema=")[2]
    ).resolve() == ROOT / "smd_cli/scene/scene.schema.json"


def test_what_is_generated_is_up_to_date() -> None:
    stale = [path.name for path, text in generated().items() if path.read_text(encoding="utf-8") != text]
    assert stale == []
