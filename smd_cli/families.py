"""The families of models. A new one is one line here and one module of `smd_cli.models` that has `FAMILY`."""

from collections.abc import Mapping

FAMILIES: Mapping[str, str] = {
    "sd15": "smd_cli.models.sd15",
    "sd2": "smd_cli.models.sd2",
    "sdxl": "smd_cli.models.sdxl",
    "sd3": "smd_cli.models.sd3",
    "klein": "smd_cli.models.klein",
    "zimage": "smd_cli.models.zimage",
}
"""Names of the families that this program can run, and their modules."""
