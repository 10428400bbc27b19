"""A call that is made again and again while something else goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(call: Callable[[], None], every_s: float, name: str, patience_s: float | None = None) -> Iterator[None]:
    """Make a call every so many seconds in a thread; on leaving, wait for its end, ``patience_s`` at most."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(every_s):
            call()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(patience_s)
