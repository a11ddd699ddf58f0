"""The colours that captions can name."""

from smd_cli.workshop.world.brush import Color

SHAPE_COLORS: dict[str, Color] = {
    "red": (222, 40, 40),
    "green": (40, 165, 70),
    "blue": (40, 90, 220),
    "yellow": (250, 215, 40),
    "purple": (135, 55, 185),
    "orange": (250, 140, 30),
    "pink": (250, 130, 185),
    "black": (28, 28, 32),
}

HAIR_COLORS: dict[str, Color] = {
    "brown": (115, 68, 36),
    "pink": (248, 130, 185),
    "black": (32, 28, 34),
    "blonde": (245, 210, 100),
    "red": (200, 50, 35),
    "blue": (60, 110, 225),
    "green": (50, 165, 85),
    "purple": (135, 70, 190),
    "white": (226, 228, 236),
}

SHIRT_COLORS: dict[str, Color] = {**SHAPE_COLORS, "white": (240, 240, 244)}

SKIN: tuple[Color, ...] = ((255, 222, 196), (248, 208, 176), (226, 176, 138), (172, 118, 82))
WHITE: Color = (255, 255, 255)
DARK: Color = (40, 36, 44)
