"""Rows of the table of peers: two ways to one result, checked against each other and timed in turns."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from measure import side_by_side
from numpy.typing import ArrayLike


class Row(NamedTuple):
    """A line of the table; the times are empty where there is nothing to compare, and ``same`` says why."""

    what: str
    peer: str
    raygenex: str = ""
    other: str = ""
    ratio: str = ""
    """Seconds of the peer over those of raygenex."""
    same: str = ""
    """What both sides have in common, and what not."""


def beside(
    what: str,
    ours: Callable[[], Any],
    makers: Mapping[str, Callable[[], Callable[[], Any]]],
    agree: Callable[[Any, Any], str],
    repeats: int,
    ours_less: float = 0.0,
) -> Iterator[Row]:
    """Yield a row for each peer, whether it can be had or not.

    Parameters
    ----------
    what
        What is done.
    ours
        Does it by raygenex.
    makers
        By the name of a peer (its package first): imports it, prepares what is not timed, and returns what does it.
    agree
        Called with both results: asserts that they are the same, and says how near they are.
    repeats
        Timed calls of each side.
    ours_less
        Seconds of raygenex's calls that are not counted.
    """
    wanted, calls, said = ours(), {}, {}
    for name, make in makers.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call = make()
                said[name] = agree(wanted, call())
        except Exception as error:  # noqa: BLE001
            # Whatever keeps one peer from its work, the others are compared.
            yield Row(what, named(name), same=f"{type(error).__name__}: {' '.join(str(error).split())}"[:120])
        else:
            calls[name] = call
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timings = side_by_side({"raygenex": ours, **calls}, repeats, warmups=0)
    mine = timings.pop("raygenex")
    for name, timing in timings.items():
        ratio = timing.median / (mine.median - ours_less)
        yield Row(what, named(name), str(mine), str(timing), f"{ratio:.2f}", said[name])


def named(peer: str) -> str:
    """Return the name of a peer with the version of its package, its first word."""
    package, _, rest = peer.partition(" ")
    try:
        return f"{package} {version(package)} {rest}".rstrip()
    except ImportError:
        return peer


def close(tolerance: float) -> Callable[[ArrayLike, ArrayLike], str]:
    """Return what asserts that two arrays differ by at most a share of the largest value."""

    def agree(ours: ArrayLike, theirs: ArrayLike) -> str:
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert ours.shape == theirs.shape, f"shapes {ours.shape} and {theirs.shape}"
        largest, scale = np.abs(ours - theirs).max(), np.abs(ours).max()
        assert largest <= tolerance * scale, f"they differ by {largest:.1g} of {scale:.1g}"
        return f"within {largest / scale:.0e} of the largest value" if largest else "equal"

    return agree


def equal(ours: ArrayLike, theirs: ArrayLike) -> str:
    """Assert that two arrays are equal."""
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    return "equal"
