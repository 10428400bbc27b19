import pytest

from raygenex.registry.history import Difference, Event, behind, earlier_champion, read_history, tag_of


def promoted(before, after):
    return Event("2026-01-01T00:00:00.000000+00:00", "promote", before, after)


def rolled(before, after):
    return Event("2026-01-01T00:00:00.000000+00:00", "rollback", before, after)


@pytest.mark.parametrize(
    ("events", "champion", "expected"),
    [
        ([], "1", None),
        ([promoted(None, "1")], "1", None),
        ([promoted(None, "1"), promoted("1", "2")], "2", "1"),
        ([promoted(None, "1"), promoted("1", "2"), rolled("2", "1")], "1", None),
        ([promoted(None, "1"), promoted("1", "2"), promoted("2", "3"), rolled("3", "2")], "2", "1"),
        # A version that is champion a second time.
        ([promoted(None, "1"), promoted("1", "2"), promoted("2", "1")], "1", "2"),
        ([promoted(None, "1"), promoted("1", "2"), promoted("2", "1"), rolled("1", "2")], "2", "1"),
        # Recorded, but the alias did not move.
        ([promoted(None, "1"), promoted("1", "2")], "1", None),
        ([promoted(None, "1"), promoted("1", "2"), promoted("1", "3")], "3", "1"),
        # Moved by other means, now or before an event.
        ([promoted(None, "1"), promoted("1", "2")], "7", "2"),
        ([promoted(None, "1"), promoted("7", "2")], "2", "7"),
        ([promoted("7", "2")], "2", "7"),
    ],
)
def test_the_champion_before(events, champion, expected):
    assert earlier_champion(events, champion) == expected


@pytest.mark.parametrize("clock", ["2025-12-31T23:00:00.000000+00:00", "2026-01-01T00:00:00.000000+00:00"])
def test_an_event_of_a_clock_that_is_late_comes_last_all_the_same(clock):
    history = [promoted(None, "1"), promoted("1", "2")]
    event = behind(Event(clock, "rollback", "2", "1"), history)
    assert event == Event("2026-01-01T00:00:00.000001+00:00", "rollback", "2", "1")
    tags = dict(tag_of(one) for one in (history[1], event))
    assert read_history(tags) == (history[1], event)


def test_an_event_of_a_clock_that_is_right_keeps_its_time():
    event = Event("2026-01-01T00:00:00.000001+00:00", "rollback", "2", "1")
    assert behind(event, [promoted(None, "1")]) is event
    assert behind(event, []) is event


def test_events_survive_as_tags_in_the_order_of_their_times():
    first = Event("2026-01-01T09:00:00.000009+00:00", "promote", None, "1")
    numbers = Difference(0.9, 0.8, 0.1, 0.05, 0.15, 0.001)
    second = Event("2026-01-01T10:00:00.000001+00:00", "promote", "1", "2", numbers, 0.95, 60, "ab", True, "why", None)
    third = Event("2026-11-01T10:00:00.000001+00:00", "rollback", "2", "1")
    tags = {"other": "x"} | dict(tag_of(event) for event in (third, second, first))
    assert "raygenex.champion.20260101090000000009" in tags
    assert read_history(tags) == (first, second, third)
