"""Times of frames: which frame a time means, where a stream is cut, and films at another rate."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.scene.frame_times import EvenTimes, RecordedTimes, hold, resample, seconds_of

GIF = RecordedTimes.of([Fraction(3), *[Fraction(1, 20)] * 9], 100)
DURATIONS = st.lists(st.integers(1, 400), min_size=1, max_size=40)  # ms


def film(durations: list[int]) -> RecordedTimes:
    return RecordedTimes.of([Fraction(each, 1000) for each in durations], 1000)


def even(frames: int, fps: Fraction, clock: int) -> RecordedTimes:
    """A film at an even rate, its times rounded to a clock."""
    return RecordedTimes.of([1 / fps] * frames, clock)


def test_rates_are_exact() -> None:
    for fps, rate in (
        (23.976, (2997, 125)),
        (30000 / 1001, (30000, 1001)),
        (0.01, (1, 100)),
        (240, (240, 1)),
    ):
        assert EvenTimes.of(fps).rate == Fraction(*rate)
    ntsc = EvenTimes.of(30000 / 1001)
    assert seconds_of(ntsc, 30000) == 1001


def test_times_of_uneven_frames() -> None:
    assert GIF.starts == (0, 300, 305, 310, 315, 320, 325, 330, 335, 340)
    assert (GIF.end, seconds_of(GIF, 10)) == (345, 3.45)
    assert GIF.rate == Fraction(10) / Fraction(345, 100)


def test_rounding_errors_do_not_add_up() -> None:
    thirds = RecordedTimes.of([Fraction(1, 3)] * 300, 100)
    assert (thirds.starts[3], thirds.starts[150], thirds.end) == (100, 5000, 10000)


@given(DURATIONS, st.floats(0, 20))
def test_a_time_means_the_frame_that_begins_nearest(durations: list[int], seconds: float) -> None:
    times = film(durations)
    frame = times.nearest(seconds)
    if seconds * 1000 >= times.end:
        assert frame >= len(durations)
    else:
        starts = [*times.starts, times.end]
        assert abs(starts[frame] - seconds * 1000) == min(abs(start - seconds * 1000) for start in starts)


def test_beyond_the_end_frames_last_as_long_as_on_average() -> None:
    times = film([100, 300])
    assert [times.start(frame) for frame in range(5)] == [0, 100, 400, 600, 800]
    assert [times.nearest(seconds) for seconds in (0.39, 0.4, 0.65, 10)] == [2, 2, 3, 50]


def test_cutting() -> None:
    assert (GIF.cut(3).starts, GIF.cut(3).end) == ((0, 300, 305), 310)
    assert GIF.cut(1, 2.0).end == 200
    assert GIF.cut(2, 3.04).end == 304
    assert GIF.cut(10, 99.0).end == 345


class TestResampling:
    @given(DURATIONS, st.sampled_from([0.5, 3, 10, 12, 23.976, 25, 60]))
    def test_the_film_keeps_its_length_and_its_order(self, durations: list[int], fps: float) -> None:
        times, rate = film(durations), EvenTimes.of(fps)
        numbers = resample(times, rate)
        assert (
            abs(seconds_of(rate, len(numbers)) - seconds_of(times, len(durations))) <= 0.5001 / fps
            or len(numbers) == 1
        )
        assert all(before <= after for before, after in pairwise(numbers))
        for number, frame in enumerate(numbers):  # on screen at that time, to half a tick
            seconds = 1000 * float(number / rate.rate)
            assert times.starts[frame] <= seconds + 0.5
            assert frame + 1 == len(durations) or times.starts[frame + 1] >= seconds - 0.5

    def test_thinning_and_repeating(self) -> None:
        times = even(8, Fraction(24), 24000)
        assert resample(times, EvenTimes.of(12)) == (0, 2, 4, 6)
        assert resample(times, EvenTimes.of(8)) == (0, 3, 6)
        assert resample(times, EvenTimes.of(48)) == tuple(frame // 2 for frame in range(16))

    @pytest.mark.parametrize("clock", [100, 1000, 12800, 90000])
    @pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(12)])
    def test_a_film_at_its_own_rate_is_what_it_is(self, clock: int, fps: Fraction) -> None:
        """Although its clock rounds the times of its frames."""
        assert resample(even(500, fps, clock), EvenTimes(fps)) == tuple(range(500))

    def test_between_frames_the_earlier_one_is_shown_although_the_clock_is_coarse(self) -> None:
        assert resample(even(3, Fraction(10), 10), EvenTimes.of(20)) == (0, 0, 1, 1, 2, 2)

    def test_a_long_frame_is_shown_for_its_time(self) -> None:
        assert resample(GIF, EvenTimes.of(10)) == (*[0] * 30, 1, 3, 5, 7)
        assert resample(GIF, EvenTimes.of(20)) == (*[0] * 60, *range(1, 10))

    def test_of_a_short_film_one_frame_stays(self) -> None:
        assert resample(film([20, 20]), EvenTimes.of(1)) == (0,)


def test_what_is_shown_at_each_moment() -> None:
    things = [(0, "a"), (3, "b"), (4, "c"), (9, "d")]
    assert "".join(hold([0, 1, 3, 4, 5, 8], iter(things))) == "aabccc"
    assert "".join(hold([0, 1, 2], iter([(2, "x")]))) == "xxx"  # nothing has come yet
    assert "".join(hold([1, 1, 3], enumerate("abcd"))) == "bbd"
    assert list(hold([0, 1], iter([]))) == []
