"""Films read by PyAV, which the extra `video` installs: upright frames of square pixels, at their times."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from smd_cli.errors import AssetError
from smd_cli.media.film_layout import check_parts
from smd_cli.media.film_pictures import frame_picture
from smd_cli.media.images import check_size
from smd_cli.media.rasters import MAX_PIXELS
from smd_cli.scene.frame_times import RecordedTimes, hold

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)

_DECODERS = (
    "h264,hevc,av1,libdav1d,libaom-av1,vp8,vp9,libvpx,libvpx-vp9,theora,mpeg1video,mpeg2video,mpeg4,msmpeg4,"
    "msmpeg4v2,h263,wmv1,wmv2,wmv3,vc1,dvvideo,mjpeg,png,qtrle,cinepak,rawvideo,v210,ffv1,huffyuv,ffvhuff,"
    "utvideo,prores,dnxhd,cfhd"
)
_SOUND_DECODERS = "aac,mp3,mp3float,ac3,eac3,opus,libopus,vorbis,libvorbis,flac,alac,pcm_s16le,pcm_s16be"
# Other formats, such as playlists, can make ffmpeg read any file or address; other decoders are of old games
# and rare cameras, and few have looked at them closely.
_ALLOWED = {
    "format_whitelist": "mov,mp4,matroska,webm,avi",
    "protocol_whitelist": "file",
    "codec_whitelist": f"{_DECODERS},{_SOUND_DECODERS}",
}
_IN_MP4 = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")  # sound that players know in an MP4 file
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # decoders of what ffmpeg's own leave out
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions, by their number in ITU-T H.273
_MICROSECONDS = 1_000_000  # of ffmpeg's clock in a second
_MISSED = 0.5  # seconds; headers are not exact
_GUESSED_RATE = 25  # frames a second of a film of one frame that does not say how long it lasts


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
        check_size(path, (stream.codec_context.width, stream.codec_context.height))
        spans, end, is_whole = _spans(film, [stream, heard] if heard else [stream])
        _check_whole(path, len(spans[stream.index]), is_whole=is_whole)
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
        size, transfer = (
            frame_picture(frame, stream.sample_aspect_ratio, path).size,
            _HDR.get(frame.color_trc),
        )
    if transfer:
        notes = (*notes, f"{path}: is HDR video ({transfer}); its colours will look pale")
    return Film(path, size, times, first, sound, notes)


def read_film(film: Film) -> Iterator[Image.Image]:
    """Yield a picture (RGB) for each frame of a film; the same one again where the decoder has none for it.

    Raises AssetError: the next one cannot be read.
    """
    with open_film(film.path) as opened:
        stream = _pictures(opened, film.path)
        shown = image = None
        for frame in hold(film.times.starts, _timed(opened, stream, film)):
            if isinstance(frame, AssetError):
                raise frame
            if image is None or frame is not shown:
                shown, image = frame, frame_picture(frame, stream.sample_aspect_ratio, film.path)
            yield image


def _pictures(film: InputContainer, path: Path) -> VideoStream:
    """Return the stream of a film's pictures."""
    stream = film.streams.best("video")
    if stream is None:
        raise AssetError(f"{path}: is no readable video: it holds no pictures")
    if stream.codec_context is None:
        raise AssetError(f"{path}: is no readable video: its pictures are of an unknown kind")
    if (decoder := stream.codec_context.codec.name) not in _DECODERS.split(","):
        raise AssetError(f"{path}: is no readable video: {decoder} is not decoded")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return cast("VideoStream", stream)


def _spans(
    film: InputContainer, streams: Sequence[Stream]
) -> tuple[Mapping[int, list[tuple[int, int]]], Fraction, bool]:
    """Return the begin and duration of all that is shown of each stream, by its index, in its time base.

    Beside it, when the last of all streams ends, in seconds, and whether all packets are there as a whole.
    """
    spans: dict[int, list[tuple[int, int]]] = {stream.index: [] for stream in streams}
    end, packets, is_whole = Fraction(0), Counter[int](), True
    for packet in film.demux():
        begin = packet.dts if _is_ordered(film) else packet.pts
        packets[packet.stream_index] += packet.dts is not None  # the one that ends a stream has none
        is_whole &= not packet.is_corrupt
        if not packet.size or begin is None:
            continue
        lasts = packet.duration or 0
        end = max(end, (begin + lasts) * (packet.time_base or Fraction(0)))
        if packet.stream_index in spans and not packet.is_discard:
            spans[packet.stream_index].append((begin, lasts))
    # The index of an MP4 file lists every packet, that of another one some.
    is_whole &= all(packets[stream.index] >= len(stream.index_entries) for stream in streams)
    return spans, end, is_whole


def _check_whole(path: Path, frames: int, *, is_whole: bool) -> None:
    """Raise AssetError where a part of a film's file is missing or damaged; `frames` are those found."""
    hint = f"{frames} of its frames are there, and ffmpeg can write those as a film of their own"
    try:
        check_parts(path)
    except OSError as error:
        raise AssetError(f"{path}: is {error}; {hint}") from None
    if not is_whole:
        raise AssetError(f"{path}: is cut off; {hint}")


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
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and (name := _WITH_ALPHA.get(decoder.name)):
        decoder = pyav().CodecContext.create(name, "r")
    for packet in film.demux(stream):
        yield from decoder.decode(packet)


def _timed(
    opened: InputContainer, stream: VideoStream, film: Film
) -> Iterator[tuple[int, VideoFrame | AssetError]]:
    """Yield each decoded frame with the tick at which it begins, and an error for what cannot be decoded."""
    latest, starts = -1, iter(film.times.starts)
    try:
        for frame in _decoded(opened, stream):
            tick = next(starts, latest + 1) if _is_ordered(opened) else _tick(frame, stream, film)
            if tick is not None:
                latest = max(latest, tick)
                if frame.is_corrupt:
                    number = bisect_right(film.times.starts, tick) - 1
                    _log.warning(
                        "%s: frame %d is damaged; what can be decoded of it is used", film.path, number
                    )
                yield tick, frame
    except pyav().error.FFmpegError:
        yield latest + 1, _damaged(film)
        return
    if not _is_ordered(opened) and latest < film.times.starts[-1]:
        yield latest + 1, _damaged(film)


def _damaged(film: Film) -> AssetError:
    return AssetError(f"{film.path}: is damaged there; ffmpeg can write what it can decode as another film")


def _tick(frame: VideoFrame, stream: VideoStream, film: Film) -> int | None:
    """Return when a frame begins, in the film's own time; None: that is not known."""
    base = frame.time_base or stream.time_base
    return None if frame.pts is None or base is None else frame.pts * base.numerator - film.first
