"""How far long work is: a bar on a terminal, and a line in the log from time to time where there is none."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

# Where nobody watches, in the log of a submitted job perhaps, a line this often shows that the work goes on.
LINE_S = 30.0


@contextlib.contextmanager
def progress(what: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on standard error, or lines in the log if that is not a terminal; yields ``advance(steps, note)``.

    ``done`` of the steps are of an earlier run.
    """
    from rich.console import Console

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _line_writer(what, total, done)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done, note="")

        def advance(steps: int, note: str) -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


def _line_writer(what: str, total: int, done: int) -> Callable[[int, str], None]:
    shown = time.monotonic()
    reached = done
    first: tuple[float, int] | None = None

    def advance(steps: int, note: str) -> None:
        nonlocal reached, shown, first
        reached += steps
        now = time.monotonic()
        # What came before the first report is the start of the workers, too, and says nothing about the pace.
        since, begun = first = first or (now, reached)
        if now - shown < LINE_S or not done < reached < total:
            return
        shown = now
        left = (
            f", about {duration((now - since) * (total - reached) / (reached - begun))} left" if reached > begun else ""
        )
        logger.info("%s: %s of %s%s", what, f"{reached:,}", f"{total:,}", left)

    return advance


def duration(seconds: float) -> str:
    """Return a length of time in words, rounded: ``20 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@contextlib.contextmanager
def steps(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show the same for work that reports how far it is; yields ``report(done, total)``."""
    with contextlib.ExitStack() as stack:
        advance: Callable[[int, str], None] | None = None
        reached = 0

        def report(done: int, total: int) -> None:
            nonlocal advance, reached
            if advance is None:
                advance = stack.enter_context(progress(what, total))
            advance(done - reached, "")
            reached = done

        yield report
