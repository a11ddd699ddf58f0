"""The pipeline: order, back-pressure, errors and clean ends, with real threads."""

import threading
from itertools import count

import pytest

from smd_cli.engine.pipeline import Channel, Closed, Pipeline


def doubled(numbers):
    for number in numbers:
        yield 2 * number


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def test_items_come_through_all_stages_in_order():
    before = threads()
    with Pipeline(range(100), [doubled, doubled, lambda items: (item + 1 for item in items)]) as results:
        assert list(results) == [4 * number + 1 for number in range(100)]
    assert threads() == before


def test_a_stage_may_hand_on_more_or_fewer_items_than_it_takes():
    def pairs(numbers):
        for number in numbers:
            yield from [number] * (number % 3)

    with Pipeline(range(6), [pairs]) as results:
        assert list(results) == [1, 2, 2, 4, 5, 5]


def test_who_is_ahead_waits():
    """However slowly results are taken, no more is made than fits between the stages."""
    made = []

    def source():
        for number in count():
            made.append(number)
            yield number

    with Pipeline(source(), [doubled], capacity=2) as results:
        taken = iter(results)
        for number in range(10):
            assert next(taken) == 2 * number
            assert len(made) <= number + 1 + 2 * 2 + 3  # two channels of two, an item in each pair of hands
            assert max(results.depths()) <= 2


def test_an_error_is_raised_after_the_results_that_were_made_before_it():
    before = threads()

    def fails_at_five(numbers):
        for number in numbers:
            if number == 5:
                raise OSError("the disk is full")
            yield number

    taken = []

    def take_all():
        with Pipeline(count(), [doubled, lambda items: items, fails_at_ten]) as results:
            taken.extend(results)

    def fails_at_ten(numbers):
        return fails_at_five(number // 2 for number in numbers)

    with pytest.raises(OSError, match="the disk is full"):
        take_all()
    assert taken == [0, 1, 2, 3, 4]
    assert threads() == before


def test_leaving_early_ends_all_threads_and_lets_stages_clean_up():
    before, cleaned = threads(), threading.Event()

    def careful(numbers):
        try:
            yield from numbers
        finally:
            cleaned.set()

    def interrupted():
        with Pipeline(count(), [careful, doubled]) as results:
            for number in results:
                if number == 6:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cleaned.is_set()
    assert threads() == before


def test_a_closed_channel_refuses_items_and_yields_none():
    channel = Channel(2)
    channel.put(1)
    channel.close()
    with pytest.raises(Closed):
        channel.put(2)
    assert list(channel) == []
