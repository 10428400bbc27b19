"""The log of a submitted job, followed to its end; what the job printed as its result stands behind a marker."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from raygenex.errors import ClusterError

MARKER = "---- raygenex: result ----"
"""The line of a job's log behind which its result stands, since Ray writes both standard streams into one log."""

# How long the cluster may be silent before it is given up, and how often it is asked.
LOST_AFTER_S = 60.0
RETRY_S = 2.0


class LogSplitter:
    """Takes the text of a log in pieces, passes its lines on, and keeps what stands behind the marker.

    Parameters
    ----------
    pass_on
        Called with every line before the marker, as soon as it is complete, without its end.
    """

    def __init__(self, pass_on: Callable[[str], None]) -> None:
        self._pass_on = pass_on
        self._rest = ""
        self._result: list[str] | None = None
        self._taken = 0
        self._skip = 0

    def restart(self) -> None:
        """Say that the log will be given from its beginning again; what was taken already is left out."""
        self._skip = self._taken

    def take(self, text: str) -> None:
        """Take the next piece; it may end anywhere."""
        skipped = min(self._skip, len(text))
        self._skip -= skipped
        text = text[skipped:]
        self._taken += len(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        if self._result is not None:
            self._result.append(line)
        elif line == MARKER:
            self._result = []
        else:
            self._pass_on(line)

    def finish(self) -> str:
        """Take an unfinished last line, and return the result; empty without a marker."""
        if self._rest:
            self._line(self._rest)
            self._rest = ""
        return "\n".join(self._result or ()).strip("\n")


def follow(client: Any, submission_id: str, splitter: LogSplitter, timeout: float | None) -> Any:
    """Pass a job's log to ``splitter`` until the job has ended, also over lost connections.

    ``client`` is a ``ray.job_submission.JobSubmissionClient``; ``timeout`` is in seconds, None for no end.

    Returns
    -------
    What Ray knows of the ended job, a ``JobDetails``.

    Raises
    ------
    ClusterError
        If the time is up, or the cluster is silent for `LOST_AFTER_S` seconds.
    """
    import aiohttp

    start = time.monotonic()
    last_sign = start
    while True:
        left = None if timeout is None else max(0.0, start + timeout - time.monotonic())
        splitter.restart()
        try:
            asyncio.run(asyncio.wait_for(_pass_log(client, submission_id, splitter), left))
        except TimeoutError:
            raise ClusterError(f"job {submission_id} has not ended within {timeout:g} s, and runs on") from None
        except (RuntimeError, OSError, aiohttp.ClientError):
            # Whether the job or only the connection has ended, the next question tells.
            pass
        try:
            info = client.get_job_info(submission_id)
        except (RuntimeError, OSError) as error:
            if time.monotonic() - last_sign > LOST_AFTER_S:
                raise ClusterError(
                    f"the cluster is silent since {LOST_AFTER_S:g} s, and job {submission_id} may run on"
                ) from error
        else:
            last_sign = time.monotonic()
            if info.status.is_terminal():
                return info
        time.sleep(RETRY_S)


async def _pass_log(client: Any, submission_id: str, splitter: LogSplitter) -> None:
    async for text in client.tail_job_logs(submission_id):
        splitter.take(text)
