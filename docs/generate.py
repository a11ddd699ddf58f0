"""Write what is generated from the code: the two references and the shipped JSON Schema.

`python docs/generate.py` writes them; with `--check` it only lists which are out of date, and fails
if any is.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from smd_cli.errors import SmdError
from smd_cli.interrupts import WORDS
from smd_cli.scene.reference import json_schema, scene_reference

ROOT = Path(__file__).parents[1]


JSON = """\
## JSON
With `--json` a command prints one document on stdout, however it ends. Beside what the command found or made
(`outputs` of a render lists the pictures that were written before it failed, too), it has:

| key | value |
|---|---|
| `notes` | what was adapted, or is worth knowing; with `-q` too |
| `warnings` | what is likely a mistake, or gets lost; with `-q` too |
| `problems` | what ended the run; empty where all went well |

Each is `{"file", "line", "column", "key", "option", "text"}`: the scene file and the place in it, or the
option that gives the value; the key, such as `regions[1].mask`; and what is wrong. What is not known is null.
"""


def cli_reference() -> str:
    """Return the commands as Markdown, by Typer's own generator, the exit codes and the JSON document."""
    command = [sys.executable, "-m", "typer", "smd_cli.cli.app", "utils", "docs", "--name", "smd"]
    text = subprocess.run(  # noqa: S603 - our own interpreter and module
        [*command, "--title", "Command line"], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout
    codes = {0: "All went well."}
    for name, word in WORDS.items():
        codes[128 + signal.Signals[name]] = f"{word.capitalize()} ({name})."
    kinds: tuple[type[SmdError], ...] = (SmdError, *SmdError.__subclasses__())
    for kind in kinds:
        codes[kind.exit_code] = (kind.__doc__ or "").splitlines()[0]
    rows = [f"| {code} | {meaning} |" for code, meaning in sorted(codes.items())]
    exits = ["## Exit codes", "", "| code | meaning |", "|---|---|", *rows]
    return "\n".join([text.rstrip(), "", *exits, "", JSON])


def generated() -> dict[Path, str]:
    """Return every generated file with its text."""
    schema = json_schema()
    return {
        ROOT / "smd_cli/scene/scene.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        ROOT / "docs/scene-reference.md": scene_reference(schema),
        ROOT / "docs/cli.md": cli_reference(),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; returns the exit code."""
    stale = [
        path
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path.relative_to(ROOT)}: out of date; run python docs/generate.py\n")
        else:
            path.write_text(generated()[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
