"""Films read by PyAV, which the extra `video` installs: upright frames of square pixels, at their times."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from smd_cli.errors import AssetError
from smd_cli.media.pixels import on_white
from smd_cli.media.rasters import MAX_PIXELS
from smd_cli.scene.frame_times import RecordedTimes, hold

if TYPE_CHECKING:
    from av import VideoFrame
    from av.buffer import Buffer
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# Other formats, such as playlists, can make ffmpeg read any file or address.
_ALLOWED = {"format_whitelist": "mov,mp4,matroska,webm,avi", "protocol_whitelist": "file"}
_IN_MP4 = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")  # sound that players know in an MP4 file
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # decoders of what ffmpeg's own leave out
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions, by their number in ITU-T H.273
_MICROSECONDS = 1_000_000  # of ffmpeg's clock in a second
_MISSED = 0.5  # seconds; headers are not exact
_GUESSED_RATE = 25  # frames a second of a film of one frame that does not say how long it lasts
_TURNS: Mapping[tuple[int, ...], Image.Transpose] = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""What a display matrix asks for: where it takes (1, 0) and (0, 1), with y downwards."""


@dataclass(frozen=True)
class Sound:
    """The sound track of a film.

    Attributes:
        path: of the film.
        codec: its name; `fits_mp4`: whether an MP4 file holds it as it is.
        begin: the film's time, in seconds, at which its pictures begin.
        seconds: how long after that the sound ends.
    """

    path: Path
    codec: str
    fits_mp4: bool
    begin: Fraction
    seconds: float


@dataclass(frozen=True)
class Film:
    """What is known of a film before its frames are read.

    Attributes:
        path: of its file.
        size: width and height in px of its first frame, upright and of square pixels.
        times: of its frames.
        first: the tick of the file's own clock at which the first one begins.
        sound: its sound; None: it has none.
        notes: what is likely to look wrong, one line each.
    """

    path: Path
    size: tuple[int, int]
    times: RecordedTimes
    first: int
    sound: Sound | None
    notes: tuple[str, ...]


def pyav() -> Any:  # noqa: ANN401 - a module, which may be missing
    """Return PyAV. Raises AssetError: it is missing."""
    try:
        return import_module("av")
    except ImportError:
        raise AssetError("video needs PyAV: pip install 'smd-cli[video]'") from None


@contextmanager
def open_film(path: Path) -> Iterator[InputContainer]:
    """Open a film's file, of the formats that can only hold what they play.

    Raises AssetError: it is none, or is damaged.
    """
    av = pyav()
    try:
        film = av.open(str(path.absolute()), container_options=_ALLOWED, metadata_errors="replace")
    except av.error.FFmpegError:
        raise AssetError(f"{path}: is no readable video (mp4, mov, mkv, webm or avi)") from None
    with film:
        try:
            yield film
        except av.error.FFmpegError as error:
            raise AssetError(f"{path}: is damaged: {error.strerror}") from error


def probe_film(path: Path) -> Film:
    """Read the times of all frames, which decodes none of them, and the first frame.

    Raises AssetError: the film cannot be read, or has no frame.
    """
    with open_film(path) as film:
        stream, heard = _pictures(film, path), film.streams.best("audio")
        spans, end = _spans(film, [stream, heard] if heard else [stream])
        notes = _cut_off(film, end, path)
        if not spans[stream.index]:
            raise AssetError(f"{path}: is a video without frames")
        first, times = _times(spans[stream.index], stream)
        sound = None
        if heard and spans[heard.index]:
            sound = _sound(path, heard, spans[heard.index], Fraction(first, times.clock))
    with open_film(path) as film:
        stream = _pictures(film, path)
        frame = next(_decoded(film, stream), None)
        if frame is None:
            raise AssetError(f"{path}: is a video without frames")
        size, transfer = _picture(frame, stream.sample_aspect_ratio, path).size, _HDR.get(frame.color_trc)
    if transfer:
        notes = (*notes, f"{path}: is HDR video ({transfer}); its colours will look pale")
    return Film(path, size, times, first, sound, notes)


def read_film(film: Film) -> Iterator[Image.Image]:
    """Yield a picture (RGB) for each frame of a film; the same one again where the decoder has none for it.

    Raises AssetError: the rest cannot be read.
    """
    with open_film(film.path) as opened:
        stream = _pictures(opened, film.path)
        stream.thread_type = "AUTO"
        shown = image = None
        for frame in hold(film.times.starts, _timed(opened, stream, film)):
            if image is None or frame is not shown:
                shown, image = frame, _picture(frame, stream.sample_aspect_ratio, film.path)
            yield image


def _pictures(film: InputContainer, path: Path) -> VideoStream:
    """Return the stream of a film's pictures."""
    stream = film.streams.best("video")
    if stream is None:
        raise AssetError(f"{path}: is no readable video: it holds no pictures")
    if stream.codec_context is None:
        raise AssetError(f"{path}: is no readable video: its pictures are of an unknown kind")
    return cast("VideoStream", stream)


def _spans(
    film: InputContainer, streams: Sequence[Stream]
) -> tuple[Mapping[int, list[tuple[int, int]]], Fraction]:
    """Return the begin and duration of all that is shown of each stream, by its index, in its time base.

    Beside it, when the last of all streams ends, in seconds.
    """
    spans: dict[int, list[tuple[int, int]]] = {stream.index: [] for stream in streams}
    end = Fraction(0)
    for packet in film.demux():
        begin = packet.dts if _is_ordered(film) else packet.pts
        if not packet.size or begin is None:
            continue
        lasts = packet.duration or 0
        end = max(end, (begin + lasts) * (packet.time_base or Fraction(0)))
        if packet.stream_index in spans and not packet.is_discard:
            spans[packet.stream_index].append((begin, lasts))
    return spans, end


def _cut_off(film: InputContainer, end: Fraction, path: Path) -> tuple[str, ...]:
    """Return a note on a film whose header says that it is longer than it is, as a part of a download is."""
    says, lasts = (film.duration or 0) / _MICROSECONDS, float(end) - (film.start_time or 0) / _MICROSECONDS
    if says - lasts <= _MISSED:
        return ()
    return (f"{path}: says that it lasts {says:.4g} s, but ends after {lasts:.4g} s; it may be cut off",)


def _is_ordered(film: InputContainer) -> bool:
    """Tell whether a file's frames have no times of their own, but an order at an even rate: AVI."""
    return film.format.name == "avi"


def _times(spans: Sequence[tuple[int, int]], stream: VideoStream) -> tuple[int, RecordedTimes]:
    """Return the tick of the first frame, and the times of all, which begin at 0."""
    base = stream.time_base or Fraction(1, _GUESSED_RATE)
    begins = dict(sorted(spans))
    first, (last, lasts) = next(iter(begins)), max(begins.items())
    usual = (last - first) // (len(begins) - 1) if len(begins) > 1 else 0
    end = last + (lasts or usual or round(1 / (_GUESSED_RATE * base)) or 1)
    starts = tuple((begin - first) * base.numerator for begin in begins)
    return first * base.numerator, RecordedTimes(base.denominator, starts, (end - first) * base.numerator)


def _sound(path: Path, stream: Stream, spans: Sequence[tuple[int, int]], begin: Fraction) -> Sound:
    context, base = stream.codec_context, stream.time_base or Fraction(1)
    codec = context.codec.canonical_name
    end = max(begin + duration for begin, duration in spans)
    # Raw AAC, without the header that MP4 wants, is in some AVI files.
    fits = codec in _IN_MP4 and (codec != "aac" or bool(context.extradata))
    return Sound(path, codec, fits, begin, float(end * base - begin))


def _decoded(film: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames of a stream, transparent ones too."""
    name = _WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        yield from film.decode(stream)
        return
    decoder = pyav().CodecContext.create(name, "r")
    for packet in film.demux(stream):
        yield from decoder.decode(packet)


def _timed(opened: InputContainer, stream: VideoStream, film: Film) -> Iterator[tuple[int, VideoFrame]]:
    """Yield each decoded frame with the tick at which it begins."""
    frames = _decoded(opened, stream)
    if _is_ordered(opened):
        yield from zip(film.times.starts, frames, strict=False)
        return
    for frame in frames:
        if frame.pts is not None and frame.time_base is not None:
            yield frame.pts * frame.time_base.numerator - film.first, frame


def _picture(frame: VideoFrame, aspect: Fraction | None, path: Path) -> Image.Image:
    """Return a frame as RGB, upright; `aspect` is the width of its pixels over their height."""
    width, height = frame.width, frame.height
    if aspect and aspect > 1:
        width = round(width * aspect)
    elif aspect:
        height = round(height / aspect)
    if width * height > MAX_PIXELS:
        raise AssetError(f"{path}: has more than {MAX_PIXELS // 10**6} megapixels")
    channels = "rgba" if any(part.is_alpha for part in frame.format.components) else "rgb24"
    pixels = frame.to_ndarray(format=channels, width=width, height=height, interpolation="BICUBIC")
    image, turn = on_white(Image.fromarray(pixels)), _turn(frame)
    return image if turn is None else image.transpose(turn)


def _turn(frame: VideoFrame) -> Image.Transpose | None:
    """Return how a frame is to be turned or mirrored; None: it is upright, or turned by no quarter."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(cast("Buffer", matrix)))
    most = max(map(abs, (a, b, c, d))) or 1
    return _TURNS.get(tuple(round(value / most) for value in (a, b, c, d)))
