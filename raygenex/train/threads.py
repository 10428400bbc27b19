"""How many threads torch uses in this process, for as long as some work lasts."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use so many threads; as many afterwards as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
