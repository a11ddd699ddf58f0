"""The `smd` program."""

import atexit
import gc
import os
import sys
import warnings

from smd_cli.interrupts import handle_signals, ignore_signals
from smd_cli.standard_streams import close_standard_streams, open_standard_streams
from smd_cli.thread_waits import spin_briefly


def main() -> None:
    """Run the command line. A signal ends it alike while its parts are still being imported."""
    open_standard_streams()
    handle_signals()
    atexit.register(ignore_signals)  # the first to be registered is the last to be called
    # pydantic would search every installed package for plugins, which takes longer than reading a scene.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    spin_briefly()
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
