"""A Ray cluster of several nodes on this machine, each in processes of its own, that a test can kill one by one.

A test uses it as::

    with ToyCluster(cpus=2) as cluster:
        node = cluster.add_node(cpus=2)
        config = make_config(..., cluster={"address": cluster.address})
        with command("train", write(config, tmp_path)) as process:
            wait_for("epochs", lambda: last_epoch(config) >= 3, process)
            cluster.kill(node)
            process.finish()

The commands run on the head node, as a user's would. `actors` says which actors run on which node, for a test that
must know that both nodes work. Nothing here calls ``ray.init``, so the test's process may have a Ray of its own; each
node costs about 10 s to start and 300 MB.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from toy_commands import below, end

START_S = 600
# A dead node is noticed within seconds.
SOON_MISSED = {"RAY_health_check_period_ms": "1000", "RAY_health_check_initial_delay_ms": "0"}
STORE_BYTES = 200 * 2**20


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Node:
    """The processes of one node: ``ray start --block`` and what is below it."""

    def __init__(self, process: subprocess.Popen, name: str) -> None:
        self.process = process
        self.name = name
        """What the node is called in Ray's list of nodes."""

    def kill(self) -> None:
        """Kill all processes of the node at once, as if its machine lost power."""
        if psutil.pid_exists(self.process.pid):
            # The parent first: it would report its children's death, and end the node in good order.
            family = [psutil.Process(self.process.pid), *below(self.process.pid)]
            for member in family:
                end(member)
        self.process.wait()


class ToyCluster:
    """A head node and those that `add_node` adds; all end with the context.

    Parameters
    ----------
    cpus
        Logical CPUs of the head node.
    dashboard
        Whether there is a dashboard, which Ray Tune's nested trainings need and which takes long to start.
    """

    def __init__(self, cpus: int, dashboard: bool = False) -> None:
        # Sockets lie in this folder, and their paths may not be long.
        self.folder = Path(tempfile.mkdtemp(prefix="rgn", dir="/tmp"))
        self.nodes: list[Node] = []
        self._started = 0
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        """Where commands join, for ``cluster.address``."""
        self._cpus = cpus
        self._dashboard = dashboard

    def __enter__(self) -> Self:
        """Start the head node."""
        port, client, dashboard = self.address.rpartition(":")[2], *free_ports(2)
        try:
            self._start(
                *("--head", f"--port={port}", f"--temp-dir={self.folder}", f"--include-dashboard={self._dashboard}"),
                *(f"--ray-client-server-port={client}", f"--dashboard-port={dashboard}"),
                cpus=self._cpus,
                name="head",
            )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Kill all nodes."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_node(self, cpus: int) -> Node:
        """Start another node and wait until it belongs to the cluster."""
        self._started += 1
        # Never a name that a killed node had: its log, which says that it joined, is still there.
        return self._start(f"--address={self.address}", cpus=cpus, name=f"node{self._started}")

    def kill(self, node: Node) -> None:
        """Kill a node."""
        node.kill()
        self.nodes.remove(node)

    def actors(self, title: str) -> dict[str, int]:
        """Count, by the name of the node, the living Ray processes whose title holds a text."""
        found = {}
        for node in self.nodes:
            titles = []
            for process in below(node.process.pid):
                try:
                    titles.append(" ".join(process.cmdline()))
                except psutil.NoSuchProcess:
                    continue
            found[node.name] = sum(title in text for text in titles)
        return found

    def _start(self, *arguments: str, cpus: int, name: str) -> Node:
        agent, grpc, metrics = free_ports(3)
        log = self.folder / f"{name}.log"
        before = self._joined()
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
                    *("--node-ip-address=127.0.0.1", f"--num-cpus={cpus}", f"--object-store-memory={STORE_BYTES}"),
                    *("--min-worker-port=0", "--max-worker-port=0", f"--node-name={name}"),
                    *(f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={grpc}"),
                    f"--metrics-export-port={metrics}",
                    *arguments,
                ],
                stdout=sink,
                stderr=sink,
                env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | SOON_MISSED,
            )
        node = Node(process, name)
        self.nodes.append(node)
        deadline = time.monotonic() + START_S
        while self._joined() <= before:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, f"{name} did not join within {START_S} s: {log.read_text()}"
            time.sleep(0.5)
        return node

    def _joined(self) -> int:
        """Count the nodes that have a log of their joining, which is the last thing that ``ray start`` says."""
        return sum("Ray runtime started." in path.read_text(errors="replace") for path in self.folder.glob("*.log"))
