"""Ask the fork server for a worker: ``python fork_client.py SOCKET PROGRAM ARGUMENT ...``, started by Ray in its place.

It ends with 0 when the worker has started, and with 1 when an interpreter of its own must be started. It imports
little and no package, since each worker waits for it.
"""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Send what a new process would inherit, wait for the answer, and return the exit status."""
    path, *arguments = sys.argv[1:]
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "niceness": os.nice(0),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    }
    data = json.dumps(request).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(path)
            sent = socket.send_fds(server, [data], [0, 1, 2])
            # Where the answer is there already, the other side has closed: even sending nothing would fail then.
            if rest := data[sent:]:
                server.sendall(rest)
            return 0 if server.recv(1) else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
