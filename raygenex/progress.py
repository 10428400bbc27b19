"""Progress bars for long work, silent when nobody watches a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(what: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on standard error; yields ``advance(steps, note)``.

    Parameters
    ----------
    what
        What is being done, shown before the bar.
    total, done
        Steps in all, and those already done by an earlier run.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done, note="")

        def advance(steps: int, note: str) -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


@contextlib.contextmanager
def steps(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for work that reports how far it is; yields ``report(done, total)``."""
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
