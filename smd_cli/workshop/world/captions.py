"""The vocabulary of the world, and captions that vary in wording and order."""

import random

from smd_cli.workshop.world.people import Person

BACKGROUND_WORDS: dict[str, tuple[str, ...]] = {
    "white": ("white background", "plain white background", "simple white background image", "plain white"),
    "blue sky": ("clear deep blue sky", "blue sky", "clear sky", "a clear deep blue sky"),
    "sunset": ("sunset", "sunset sky", "evening sky at sunset", "a sunset"),
    "night sky": ("starry night sky", "night sky", "starry sky", "a night sky full of stars"),
    "grass": ("grass", "green grass", "meadow", "a grass field"),
    "lake": ("clean deep blue lake", "lake", "sea", "ocean", "deep blue water", "a calm lake", "blue sea"),
    "sand": ("sand", "desert", "beach", "sand dunes", "sandy beach"),
    "snow": ("snow", "snowy field", "winter", "a field of snow"),
    "times square": (
        "times square",
        "city at night",
        "times square at night",
        "a city street at night",
        "city",
    ),
    "street": ("busy street", "a busy street by day", "a street in a city by day", "downtown"),
    "alps": ("Alps", "dolomites", "Mount Olympus", "snowy mountains", "rocky mountains", "the Alps"),
    "summer mountains": ("summer mountains", "green mountains", "green hills", "summer mountains, green"),
}

THING_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "disc", "round circle"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star", "five-pointed star"),
    "sun": ("the sun", "sun", "a bright sun", "the yellow sun"),
    "moon": ("the moon", "moon", "a crescent moon", "the bright moon"),
    "tree": ("a large tree", "tree", "a tree", "large green tree"),
    "waterfall": ("a giant waterfall", "waterfall", "a waterfall", "giant waterfall"),
    "house": ("house", "small house", "home"),
    "cloud": ("a cloud", "cloud", "white cloud", "a fluffy cloud"),
    "flower": ("flower", "blossom"),
    "boat": ("a boat", "boat", "sailing boat", "a small boat"),
    "owl": ("an owl", "owl", "a small, sitting owl", "a small owl", "sitting owl"),
    "cat": ("a cat", "cat", "a sitting cat", "a cute cat"),
}

LEADS = (
    "a photo of ",
    "a picture of ",
    "an illustration of ",
    "a drawing of ",
    "flat illustration of ",
    "picture, ",
)
PRAISE = (
    "masterpiece", "best quality", "high quality", "detailed", "flat illustration", "vector art", "simple",
    "4k", "sharp", "beautiful", "colorful", "cinematic", "artstation", "highres", "minimal", "centered",
)  # fmt: skip
JOINTS = (", ", ", ", " on ", " in front of ", ", background: ", " with ", ", in ", " at ")
POSES = ("looking at viewer", "solo", "standing", "full body", "front view")


def background_words(rng: random.Random, background: str) -> str:
    """Return a random name of a background."""
    words = rng.choice(BACKGROUND_WORDS[background])
    return f"a photo of {words}" if rng.random() < 0.1 else words


def thing_words(rng: random.Random, thing: str, color: str | None) -> str:
    """Return a random name of an object, with its colour where it has one."""
    words = rng.choice(THING_WORDS[thing])
    if color is None:
        return words
    form = rng.random()
    if form < 0.45:
        return f"{color} {words}"
    if form < 0.9:
        return f"{'an' if color[0] == 'o' else 'a'} {color} {words}"
    return f"{words}, {color}"


def person_words(rng: random.Random, person: Person) -> str:
    """Return tags that describe a person, in varying order and with some of them left out."""
    tags = [f"{person.hair} hair"] if rng.random() < 0.9 else []
    if person.kind == "goddess":
        first = rng.choice(
            ("a Greek goddess", "Greek goddess Athena", "Greek goddess", "1girl, Greek goddess Athena")
        )
        tags = tags if rng.random() < 0.5 else []
    else:
        first = f"1{person.kind}" if rng.random() < 0.8 else f"a {person.kind}"
        if rng.random() < 0.75:
            tags.append(person.clothes)
    if person.smile and rng.random() < 0.7:
        tags.append(rng.choice(("smile", "smile, happy", "smiling", "happy")))
    if person.lifts_arm and rng.random() < 0.8:
        tags.append("lifts arm")
    tags += [pose for pose in POSES if rng.random() < (0.4 if pose == "looking at viewer" else 0.07)]
    rng.shuffle(tags)
    if person.kind == "goddess" and rng.random() < 0.4:
        return ", ".join(["1girl", *tags, first])
    return ", ".join([first, *tags])


def finish(rng: random.Random, subject: str, background: str) -> str:
    """Join a subject and a background (either may be empty), and add words that the picture does not show."""
    if subject and background:
        swap = rng.random() < 0.12
        text = f"{background}, {subject}" if swap else subject + rng.choice(JOINTS) + background
    else:
        text = subject or background
    if rng.random() < 0.15:
        text = rng.choice(LEADS) + text
    extras = [word for word in rng.sample(PRAISE, 2) if rng.random() < 0.12]
    if rng.random() < 0.08:
        extras.append(_unknown_word(rng))
    for word in extras:
        text = f"{word}, {text}" if rng.random() < 0.4 else f"{text}, {word}"
    return text


def _unknown_word(rng: random.Random) -> str:
    """Return a made-up word, so that the model learns to ignore unknown words."""
    return "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))
