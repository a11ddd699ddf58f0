"""Writing MP4 films by PyAV, in fragments that play once they are written, with the sound of another film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import Image

from smd_cli.errors import AssetError, SmdError
from smd_cli.media.canvas import repeat_edges
from smd_cli.media.drafts import Admit, Draft
from smd_cli.media.files import report_write_errors
from smd_cli.media.mp4 import cut_to_fragments
from smd_cli.media.texts import pack_texts
from smd_cli.media.video import Sound, open_film, pyav
from smd_cli.scene.frame_times import FrameTimes, seconds_of

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_ENCODER = "libx264"
_KEY_SECONDS = 2  # between key frames; a file whose end is missing plays up to the last one
_NO_OTHER_KEYS = 1_000_000  # frames
_BT709 = 1  # primaries, transfer function and matrix, as ITU-T H.273 numbers them
_VIDEO_RANGE = 1  # black is 16, white 235
_COLORS = {"dst_colorspace": "ITU709", "dst_color_range": "MPEG"}
# The header waits for the first fragment, so that it can tell of sound that begins before the pictures.
_FRAGMENTS = {"movflags": "+frag_keyframe+empty_moov+default_base_moof+delay_moov", "flush_packets": "1"}


def check_encoder() -> None:
    """Check that films can be written. Raises AssetError: PyAV, or its encoder, is missing."""
    if _ENCODER not in pyav().codecs_available:
        raise AssetError(f"this PyAV has no {_ENCODER}, which mp4 needs: pip install --force-reinstall av")


class VideoWriter:
    """A sink that writes an MP4 file, as H.264.

    yuv420p, which every player shows, stores colours for 2x2 px: an odd side is extended by one edge pixel.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        times: FrameTimes,
        texts: Mapping[str, str] | None,
        sound: Sound | None,
        admit: Admit,
    ) -> None:
        self._path = path
        self._admit = admit
        self._size = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._times = times
        self._comment = pack_texts(texts)
        self._source = sound
        self._draft = Draft(path)
        self._film: OutputContainer | None = None
        self._sound: SoundCopy | None = None
        self._added = self._muxed = 0  # frames
        self._last_key = 0  # tick
        self._failed_at: int | None = None  # bytes of the file when the system refused

    def add(self, image: Image.Image) -> None:
        """Write a frame."""
        shown = repeat_edges(image, (0, 0), self._size)
        frame = pyav().VideoFrame.from_image(shown)
        self._last: VideoFrame = frame.reformat(format="yuv420p", **_COLORS)
        self.repeat()

    def repeat(self) -> None:
        """Write the last frame again."""
        with self._reported():
            film = self._film = self._film or self._open()
            self._encode(film, self._timed())
        self._added += 1

    def close(self) -> None:
        """Finish the file and move it to its path; without a frame, leave none.

        Raises SmdError: the system refuses, and no earlier call has raised that; UsageError: a file has
        appeared there that must stay.
        """
        try:
            if self._film is not None and self._failed_at is None:
                with self._reported():
                    self._encode(self._film, None)
                    self._film.close()
        finally:
            self._release()
            self._keep()

    def discard(self) -> None:
        """Remove what was written."""
        self._release()
        self._draft.discard()

    def _keep(self) -> None:
        """Move the file to its path, up to the last fragment that is whole; without one, leave none."""
        try:
            with report_write_errors(self._path):
                if not self._muxed:
                    return
                has_fragment, is_whole = cut_to_fragments(self._draft.temporary, self._failed_at)
                if has_fragment:
                    self._draft.commit(self._admit)
            if not is_whole and self._failed_at is None:  # what was written last, ffmpeg does not tell of
                raise SmdError(f"{self._path}: cannot be written: the disk is full, or a limit is reached")
        finally:
            self._draft.discard()

    def _open(self) -> OutputContainer:
        self._draft.create()
        film: OutputContainer = pyav().open(str(self._draft.temporary), "w", format="mp4", options=_FRAGMENTS)
        if self._comment:
            film.metadata["comment"] = self._comment
        stream = film.add_stream(_ENCODER, rate=self._times.rate, options={"crf": "17"})
        self._stream = cast("VideoStream", stream)
        codec = self._stream.codec_context
        codec.width, codec.height = self._size
        codec.pix_fmt = "yuv420p"
        codec.time_base = Fraction(1, self._times.clock)
        codec.gop_size = _NO_OTHER_KEYS
        # With B-frames, decoding would begin before the first frame, by as much as the next one lasts.
        codec.max_b_frames = 0
        codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
        codec.color_range = _VIDEO_RANGE
        if self._source:
            self._sound = SoundCopy(self._source, film)
        return film

    def _timed(self) -> VideoFrame:
        """Return the last frame at the time at which it is shown now."""
        frame, start = self._last, self._times.start(self._added)
        frame.pts, frame.time_base = start, Fraction(1, self._times.clock)
        is_key = self._added == 0 or start - self._last_key >= _KEY_SECONDS * self._times.clock
        frame.pict_type = pyav().video.frame.PictureType.I if is_key else pyav().video.frame.PictureType.NONE
        self._last_key = start if is_key else self._last_key
        return frame

    def _encode(self, film: OutputContainer, frame: VideoFrame | None) -> None:
        """Write the frames that the encoder is done with, all for None, and the sound beside them."""
        for packet in self._stream.encode(frame):
            start, end = (self._times.start(self._muxed + later) for later in (0, 1))
            packet.duration = end - start
            film.mux(packet)
            self._muxed += 1
            if self._sound:
                self._sound.copy_until(seconds_of(self._times, self._muxed))

    def _release(self) -> None:
        """Let go of what is open; the film is only ended where that has not been tried."""
        if self._sound:
            self._sound.close()
        if self._film is not None:
            with suppress(pyav().error.FFmpegError):
                self._film.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what PyAV raises into an SmdError that names the path."""
        try:
            yield
        except (pyav().error.FFmpegError, OSError) as error:
            self._failed_at = self._draft.size()
            raise SmdError(f"{self._path}: cannot be written: {error.strerror or error}") from error


class SoundCopy:
    """Copies the sound of a film into another one, as it is, in step with its pictures."""

    def __init__(self, sound: Sound, film: OutputContainer) -> None:
        self._opened = ExitStack()
        source = self._opened.enter_context(open_film(sound.path))
        self._film = film
        stream = source.streams.best("audio")
        if stream is None:
            raise AssetError(f"{sound.path}: has lost its sound")
        self._stream = film.add_stream_from_template(stream)
        self._packets = _timed_packets(source.demux(stream), sound.begin)
        self._next = next(self._packets, None)

    def copy_until(self, seconds: float) -> None:
        """Copy what begins before a time of the pictures."""
        while self._next is not None and self._next[0] < seconds:
            packet = self._next[1]
            packet.stream = self._stream
            self._film.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the film that the sound is from."""
        self._opened.close()


def _timed_packets(
    packets: Iterator[Packet[Stream]], begin: Fraction
) -> Iterator[tuple[Fraction, Packet[Stream]]]:
    """Yield packets whose times count from `begin`, in seconds, and that time of each.

    What is heard before is left out. Where pictures begin with the file, packets before that are not to be
    heard: they prime the decoder.
    """
    for packet in packets:
        time = packet.dts if packet.pts is None else packet.pts
        if not packet.size or time is None:
            continue
        packet.pts = packet.dts = time - round(begin / packet.time_base)
        if begin <= 0 or packet.pts >= 0:
            yield packet.pts * packet.time_base, packet
