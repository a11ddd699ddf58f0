"""Films of other programs, and what another program says of ours: ffmpeg's, which imageio-ffmpeg brings."""

import re
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg

BARS = ("-f", "lavfi", "-i", "testsrc=s=64x48:d=2:r=30000/1001")
BEEP = ("-f", "lavfi", "-i", "sine=d=1.9")


def ffmpeg(*arguments: str) -> str:
    """Run ffmpeg; what it says."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr


def encode(path: Path, *arguments: str, source: tuple[str, ...] = BARS) -> Path:
    """A film by another program: by default two seconds of a test picture at NTSC's rate."""
    ffmpeg("-loglevel", "error", *source, *arguments, str(path))
    return path


def shown_at(path: Path) -> list[float]:
    """When another program shows each frame, in seconds."""
    said = ffmpeg(
        "-copyts", "-i", str(path), "-fps_mode", "passthrough", "-vf", "showinfo", "-f", "null", "-"
    )
    return [float(time) for time in re.findall(r"pts_time:\s*([0-9.-]+)", said)]


def described(path: Path) -> str:
    """What another program says of the streams in a file."""
    return ffmpeg("-i", str(path), "-c", "copy", "-f", "null", "-")


def sound_of(path: Path) -> str:
    """The digest of the sound's packets, as they are."""
    hashed = path.with_suffix(".hash")
    ffmpeg("-loglevel", "error", "-i", str(path), "-map", "0:a", "-c", "copy", "-f", "hash", str(hashed))
    return hashed.read_text()


def uneven(path: Path, *arguments: str) -> Path:
    """A film of seven frames: at 0, 0.1, 0.2, 1.2, 1.3, 2, and 2.5 s, which ends at 2.6 s."""
    keep = "+".join(f"eq(n\\,{number})" for number in (0, 1, 2, 12, 13, 20, 25))
    source = ("-f", "lavfi", "-i", "testsrc=s=64x48:d=3:r=10")
    return encode(path, "-vf", f"select={keep}", "-fps_mode", "vfr", *arguments, source=source)


UNEVEN = (0, 0.1, 0.2, 1.2, 1.3, 2, 2.5)


def place_of(path: Path, frame: int) -> tuple[int, int]:
    """Where a frame lies in its film's file: its first byte and the one behind its last."""
    with av.open(path) as film:
        packets = [bytes(packet) for packet in film.demux(video=0) if packet.size]
    start = path.read_bytes().index(packets[frame])
    return start, start + len(packets[frame])


def damaged(path: Path, frame: int) -> Path:
    """A film with nothing in the second half of a frame."""
    (start, end), data = place_of(path, frame), path.read_bytes()
    middle = (start + end) // 2
    path.write_bytes(data[:middle] + bytes(end - middle) + data[end:])
    return path
