"""The `smd` program."""

import atexit
import gc
import os
import sys
import warnings

from smd_cli.errors import INTERRUPTED
from smd_cli.standard_streams import close_standard_streams, open_standard_streams


def main() -> None:
    """Run the command line; Ctrl-C ends it alike while its parts are still being imported."""
    open_standard_streams()
    try:
        _run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


def _run() -> None:
    # pydantic would search every installed package for plugins, which takes longer than reading a scene.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if not sys.warnoptions:  # what libraries tell their developers says nothing of a user's mistake
        warnings.simplefilter("ignore")
    # What has been imported is no garbage, and to look through all of it at the end takes a while.
    atexit.register(gc.freeze)
    from smd_cli.cli.program import program

    try:
        program(*sys.argv[1:2])(prog_name="smd")
    finally:
        close_standard_streams()


if __name__ == "__main__":
    main()
