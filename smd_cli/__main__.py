"""The `smd` program."""

import io
import os
import sys


def main() -> None:
    """Run the command line."""
    # pydantic would search every installed package for plugins, which takes longer than reading a scene.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from smd_cli.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path is printed as its bytes, whatever they are
    app(prog_name="smd")


if __name__ == "__main__":
    main()
