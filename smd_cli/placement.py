"""How a model lies in memory: the words for it, in one place. Knows no torch."""

PLACEMENTS = ("low", "medium", "high")
"""Where a model's networks are while they are not used, from the least memory to the most.

`high`: all on the device. `medium`: each network only while it is used, the numbers being the same. `low`: on
a GPU they come layer by layer too; one view is evaluated at a time, and pictures are decoded in tiles.
"""

MEMORIES = ("auto", *PLACEMENTS)
"""What can be asked for; `auto` is the placement of most memory that fits."""

WEIGHTS = ("full", "int8", "fp8")
"""How large layers keep their weights: in the model's dtype, or in 8 bits with a scale for each row."""
