"""The files of a cluster that are shipped: the autoscaler's own checks, versions, rights and what listens where."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any
from unittest.mock import Mock

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
POLICIES = ROOT / "jobs" / "aws"


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
    for name in nodes.keys() - {"head"}:
        assert nodes[name]["min_workers"] == 0
        worker = nodes[name]["node_config"]
        on_demand = name == "gpu-on-demand"
        assert worker.get("InstanceMarketOptions") == (None if on_demand else {"MarketType": "spot"})
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
    # Nodes without a GPU do not fetch CUDA.
    assert config["docker"]["image"] == f"{base}cpu"
    for name, node in config["available_node_types"].items():
        assert node.get("docker") == ({"worker_image": f"{base}gpu"} if name.startswith("gpu") else None)
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


def launched_for_four_gpus(closed: set[str]) -> dict[str, int]:
    """Ask the autoscaler's scheduler which nodes of cluster.yaml it would start, when some types may have none."""
    from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
    from ray.autoscaler.v2.utils import ResourceRequestUtil

    types = {
        name: NodeTypeConfig(
            name=name,
            min_worker_nodes=node["min_workers"],
            max_worker_nodes=0 if name in closed else node["max_workers"],
            resources={"CPU": 4.0, "GPU": 1.0},
            priority=node["priority"],
        )
        for name, node in read(ROOT / "cluster.yaml")["available_node_types"].items()
        if name.startswith("gpu")
    }
    demand = [ResourceRequestUtil.make({"CPU": 1.0, "GPU": 1.0})] * 4
    request = SchedulingRequest(
        node_type_configs=types,
        disable_launch_config_check=True,
        max_num_nodes=9,
        resource_requests=ResourceRequestUtil.group_by_count(demand),
    )
    return {found.instance_type: found.count for found in ResourceDemandScheduler(Mock()).schedule(request).to_launch}


def test_gpu_workers_have_a_next_type():
    assert launched_for_four_gpus(set()) == {"gpu": 4}
    assert launched_for_four_gpus({"gpu"}) == {"gpu-a10g": 4}
    assert launched_for_four_gpus({"gpu", "gpu-a10g"}) == {"gpu-on-demand": 4}


def test_the_first_boot_waits_for_apt_and_names_a_zone_without_storage():
    package, _, mount, _ = read(ROOT / "cluster.yaml")["initialization_commands"]
    assert re.search(r"timeout \d+ bash -c 'until .*apt-get update.*apt-get .*install.*; do sleep \d+; done'", package)
    assert re.search(r"\|\| \{ echo \"EFS [^\"]*zone[^\"]*mount target[^\"]*\"; exit 1; \}$", mount)


def test_roles_may_do_what_the_autoscaler_does_and_no_more():
    policies = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in POLICIES.iterdir()}
    assert set(policies) == {"head-policy", "worker-policy"}
    allowed: dict[str, set[str]] = {}
    for name, policy in policies.items():
        assert policy["Version"] == "2012-10-17"
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            allowed.setdefault(name, set()).update(actions)
            if statement["Resource"] == "*":
                assert all(action.startswith("ec2:Describe") for action in actions)
            if "ec2:TerminateInstances" in actions:
                cluster = {"aws:ResourceTag/ray-cluster-name": read(ROOT / "cluster.yaml")["cluster_name"]}
                assert statement["Condition"] == {"StringEquals": cluster}
            if "iam:PassRole" in actions:
                worker = read(ROOT / "cluster.yaml")["available_node_types"]["gpu"]["node_config"]
                assert statement["Resource"].endswith(f":role/{worker['IamInstanceProfile']['Name']}")
    assert allowed["worker-policy"] == {"s3:GetObject", "s3:ListBucket"}
    assert allowed["head-policy"] == {
        "ec2:CreateTags",
        "ec2:DescribeImages",
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceTypes",
        "ec2:RunInstances",
        "ec2:TerminateInstances",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
    }
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    assert "FullAccess" not in text
    for name in policies:
        assert f"jobs/aws/{name}.json" in text


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
