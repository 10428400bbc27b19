"""The files of a cluster that are shipped: the autoscaler's own checks, versions, rights and what listens where."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from raygenex import __version__

ROOT = Path(__file__).parents[2]
MACHINES = ROOT / "jobs" / "cluster-machines.yaml"
LAUNCHED = (ROOT / "cluster.yaml", MACHINES)
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
)
DOCKERFILE = (ROOT / "jobs" / "Dockerfile").read_text(encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def validate(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Prepare and check a configuration as `ray up` does before it asks the provider for anything."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    # Folders of file_mounts are those of the repository.
    monkeypatch.chdir(ROOT)
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.name)
def test_ray_up_would_take_it(path: Path, monkeypatch: pytest.MonkeyPatch):
    prepared = validate(read(path), monkeypatch)
    assert prepared["head_node_type"] in prepared["available_node_types"]
    assert prepared["max_workers"] == {"cluster.yaml": 8, "cluster-machines.yaml": 2}[path.name]


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.name)
def test_the_check_refuses_an_unknown_key(path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Exception, match="bogus"):
        validate(read(path) | {"bogus": 1}, monkeypatch)


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.name)
def test_nodes_ask_for_the_token_and_open_nothing(path: Path):
    config = read(path)
    head, worker = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in head
    options = config.get("docker", {}).get("run_options", [])
    for command in (head, worker):
        assert "ulimit -n" in command
        assert "RAY_AUTH_MODE=token" in command or "--env RAY_AUTH_MODE=token" in options
    assert [place for place in config["file_mounts"] if place.endswith("/.ray/auth_token")]


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.name)
def test_the_whole_package_is_copied(path: Path):
    """A pattern that is not anchored would leave raygenex/data out."""
    config = read(path)
    assert config["rsync_exclude"]
    assert all(re.fullmatch(r"/[.\w]+", pattern) for pattern in config["rsync_exclude"])
    assert "/raygenex" not in config["rsync_exclude"]
    for filtered in config["rsync_filter"]:
        ignored = {line.strip("/") for line in (ROOT / filtered).read_text(encoding="utf-8").splitlines()}
        assert ignored.isdisjoint(
            folder.name for folder in (ROOT / "raygenex").iterdir() if folder.name != "__pycache__"
        )


def test_aws_workers_are_spot_gpus_from_zero():
    config = read(ROOT / "cluster.yaml")
    nodes = config["available_node_types"]
    head = nodes[config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert nodes["gpu"]["min_workers"] == 0
    assert nodes["gpu"]["max_workers"] == 8
    for name in ("gpu", "cpu"):
        worker = nodes[name]["node_config"]
        assert worker["InstanceMarketOptions"] == {"MarketType": "spot"}
        # Workers may not start instances.
        assert worker["IamInstanceProfile"] != head["node_config"]["IamInstanceProfile"]
    for node in nodes.values():
        # Without a group of the user's, Ray makes one that lets SSH in from everywhere.
        assert node["node_config"]["SecurityGroupIds"]
    assert "security_group" not in config["provider"]
    # What workers write is on the machine's mount, which the container has too.
    assert any(
        "mount -t nfs4" in command and "/mnt/raygenex" in command for command in config["initialization_commands"]
    )
    assert "--volume /mnt/raygenex:/mnt/raygenex" in config["docker"]["run_options"]


def test_versions_are_those_of_the_constraints():
    base = f"rayproject/ray:{CONSTRAINTS['ray']}-py311-"
    assert f"\nARG NODE=cpu\nFROM {base}${{NODE}}\n" in DOCKERFILE
    config = read(ROOT / "cluster.yaml")
    assert config["docker"]["image"] == f"{base}gpu"
    torch = f"torch=={CONSTRAINTS['torch']}"
    assert DOCKERFILE.count(f" {torch} ") == 2
    for path in LAUNCHED:
        assert f" {torch} " in read(path)["setup_commands"][-1]
    for nodes in ("cpu", "gpu"):
        assert f"-t registry.example.com/raygenex:{__version__}-{nodes} ." in DOCKERFILE


def test_nodes_have_what_every_verb_needs():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    # boosted-cpu is boosted without CUDA, and the others are for who changes the package.
    needed = declared.keys() - {"boosted", "docs", "lint", "test"}
    for text in (DOCKERFILE, *(read(path)["setup_commands"][-1] for path in LAUNCHED)):
        (extras,) = re.findall(r"\[([a-z0-9,-]*boosted-cpu[a-z0-9,-]*)\]", text)
        assert set(extras.split(",")) == needed


OPEN = {
    "jobs/kubernetes/base/mlflow.yaml": "a container: reached by the pod's address, by Ray's pods alone",
}
"""Files that let a server listen on every address, and why."""


def test_servers_listen_on_their_own_machine_unless_told():
    texts = [
        *(ROOT / "raygenex").rglob("*.py"),
        *(ROOT / "jobs").rglob("*"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("README.md", "cluster.yaml", "Makefile")),
    ]
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in texts if path.is_file()}
    wide = re.compile(r"(?i)host[=\s:\"',]+(0\.0\.0\.0|::|\"\")(?![\d.])")
    assert {name for name, text in found.items() if wide.search(text)} == set(OPEN)
    for name, text in found.items():
        for command in re.findall(r"ray start[^\n`]*--head[^\n`]*", text):
            assert "--dashboard-host=127.0.0.1" in command or "--block" in command, (name, command)
        for command in re.findall(r"mlflow (?:server|models serve)[^\n`]*", text):
            assert not re.search(r"(?:--host|-h)[ =]0\.", command) or name in OPEN, (name, command)


def test_nothing_turns_the_token_off():
    for path in [*(ROOT / "raygenex").rglob("*.py"), *LAUNCHED, *(ROOT / "jobs").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        assert "RAY_AUTH_MODE=disabled" not in text, path
        assert not re.search(r"RAY_AUTH_MODE[\"':\s=]+disabled", text), path
