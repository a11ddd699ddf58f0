"""The synthetic world that flatland learns: captioned flat illustrations, drawn with Pillow from a seed."""

from smd_cli.workshop.world.picture import CaptionedPicture, draw_picture

__all__ = ["CaptionedPicture", "draw_picture"]
