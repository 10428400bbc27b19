"""The files of a cluster that are shipped: the autoscaler's own checks, KubeRay's keys, versions and commands."""

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from raygenex import __version__
from raygenex.cli.main import app
from raygenex.config.load import load_config

ROOT = Path(__file__).parents[2]
MACHINES = ROOT / "jobs" / "cluster-machines.yaml"
LAUNCHED = (ROOT / "cluster.yaml", MACHINES)
RAYJOBS = sorted((ROOT / "jobs").glob("rayjob-*.yaml"))
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
)
DOCKERFILE = (ROOT / "jobs" / "Dockerfile").read_text(encoding="utf-8")
IMAGE = f"raygenex:{__version__}"


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
    base = re.search(r"^FROM rayproject/ray:(\S+?)-py311-gpu$", DOCKERFILE, re.M)
    assert base is not None
    assert base[1] == CONSTRAINTS["ray"]
    assert read(ROOT / "cluster.yaml")["docker"]["image"] == base[0].removeprefix("FROM ")
    torch = f"torch=={CONSTRAINTS['torch']}"
    assert torch in DOCKERFILE
    for path in LAUNCHED:
        assert torch in read(path)["setup_commands"][-1]
    assert f"-t {IMAGE} ." in DOCKERFILE


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("path", RAYJOBS, ids=lambda path: path.name)
def test_a_rayjob_has_the_keys_of_kuberay(path: Path):
    job = read(path)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"] == path.stem.replace("rayjob", "raygenex")
    spec = job["spec"]
    known = {"entrypoint", "runtimeEnvYAML", "submissionMode", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished"}
    assert set(spec) <= known | {"activeDeadlineSeconds", "backoffLimit", "rayClusterSpec"}
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == CONSTRAINTS["ray"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        if group["minReplicas"] < group["maxReplicas"]:
            assert cluster["enableInTreeAutoscaling"] is True
    for pod in pods(job):
        (container,) = pod["containers"]
        assert container["image"] == IMAGE
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["shared"] == "/mnt/raygenex"
        assert {volume["name"] for volume in pod["volumes"]} == set(mounts)


@pytest.mark.parametrize("path", RAYJOBS, ids=lambda path: path.name)
def test_the_command_of_a_rayjob_parses_and_fits_its_workers(path: Path, monkeypatch: pytest.MonkeyPatch):
    job = read(path)
    environment = yaml.safe_load(job["spec"].get("runtimeEnvYAML", "{}")).get("env_vars", {})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    python, option, module, verb, *words = shlex.split(job["spec"]["entrypoint"])
    assert (python, option, module) == ("python", "-m", "raygenex")
    command = typer.main.get_command(app).commands[verb]
    params = command.make_context(verb, words).params
    inside = Path(params["config"]).relative_to("/home/ray/raygenex")
    assert "COPY --chown=ray:users jobs jobs" in DOCKERFILE
    config = load_config(ROOT / inside, params["override"])
    assert config.output.startswith("/mnt/raygenex/")
    assert config.tracking.uri == "http://mlflow:5000"
    for paths in (config.data.train, config.data.valid, config.data.test):
        assert all(place.startswith(("/mnt/raygenex/", "s3://")) for place in paths)
    # Ray reads a pod's limits.
    limits = [pod["containers"][0]["resources"]["limits"] for pod in pods(job)[1:]]
    counts = [group["maxReplicas"] for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]
    cpus = sum(count * int(limit["cpu"]) for count, limit in zip(counts, limits, strict=True))
    gpus = sum(count * int(limit.get("nvidia.com/gpu", 0)) for count, limit in zip(counts, limits, strict=True))
    assert cpus >= config.train.workers * config.train.cpus_per_worker + 1
    assert gpus >= config.train.workers * config.train.use_gpu
    assert gpus >= config.embed.min_actors * config.embed.gpus_per_actor


def test_the_tracking_server_is_the_one_that_the_jobs_name():
    deployment, service = yaml.safe_load_all((ROOT / "jobs" / "mlflow-server.yaml").read_text(encoding="utf-8"))
    assert (service["metadata"]["name"], service["spec"]["ports"]) == ("mlflow", [{"port": 5000}])
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert "--port=5000" in container["command"]


OPEN = {
    "jobs/mlflow-server.yaml": "a container: Kubernetes reaches it by the pod's address, and the service is inside",
}
"""Files that let a server listen on every address, and why."""


def test_servers_listen_on_their_own_machine_unless_told():
    texts = [
        *(ROOT / "raygenex").rglob("*.py"),
        *(ROOT / "jobs").iterdir(),
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
    for path in [*(ROOT / "raygenex").rglob("*.py"), *LAUNCHED, *(ROOT / "jobs").glob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        assert "RAY_AUTH_MODE=disabled" not in text, path
        assert not re.search(r"RAY_AUTH_MODE[\"':\s=]+disabled", text), path


def test_rayjobs_ask_for_the_token():
    for path in RAYJOBS:
        assert "authOptions" in path.read_text(encoding="utf-8"), path
