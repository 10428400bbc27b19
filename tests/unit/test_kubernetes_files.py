"""The files for Kubernetes: built as kustomize builds them, with known keys alone and names that something makes."""

import copy
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kustomize
import pytest
import typer
import yaml

from raygenex import __version__
from raygenex.cli.main import app
from raygenex.config.load import load_config

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "jobs" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "submit")
BUILT = {name: kustomize.build(FOLDER / name) for name in (*OVERLAYS, "monitoring")}
SCHEMA = yaml.safe_load((ROOT / "tests" / "data" / "kubernetes" / "schema.yaml").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
FREE = {"annotations", "labels", "limits", "matchLabels", "rayStartParams", "requests", "selector"}
"""Mappings whose keys the user chooses; `selector` is one of a Service."""


def one(overlay: str, kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = (
        found for found in BUILT[overlay] if found["kind"] == kind and name in (None, found["metadata"]["name"])
    )
    return found


def ray_cluster(overlay: str) -> dict[str, Any]:
    return (
        one("submit", "RayCluster")["spec"] if overlay == "submit" else one(overlay, "RayJob")["spec"]["rayClusterSpec"]
    )


def ray_pods(overlay: str) -> list[dict[str, Any]]:
    cluster = ray_cluster(overlay)
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def mappings(found: Any, key: str = "") -> Iterator[dict[str, Any]]:
    """Yield every mapping whose keys the schema knows."""
    if isinstance(found, dict):
        if key not in FREE or "matchLabels" in found:
            yield found
        for inner_key, inner in found.items():
            yield from mappings(inner, inner_key)
    elif isinstance(found, list):
        for inner in found:
            yield from mappings(inner)


@pytest.mark.parametrize("overlay", BUILT)
def test_objects_have_the_keys_of_kuberay_and_kubernetes(overlay: str):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for found in BUILT[overlay]:
        VALIDATOR.validate(found)


@pytest.mark.parametrize("overlay", BUILT)
def test_an_unknown_key_is_refused_everywhere(overlay: str):
    for original in BUILT[overlay]:
        found = copy.deepcopy(original)
        for mapping in list(mappings(found)):
            mapping["bogus"] = "x"
            assert not VALIDATOR.is_valid(found), mapping
            del mapping["bogus"]
        assert VALIDATOR.is_valid(found)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", BUILT)
def test_kubectl_builds_the_same(overlay: str):
    built = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / overlay)], capture_output=True, text=True, check=True, timeout=120
    )

    def in_order(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(objects, key=lambda found: (found["kind"], found["metadata"]["name"]))

    assert in_order(list(yaml.safe_load_all(built.stdout))) == in_order(BUILT[overlay])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_name_is_of_something_that_is_made(overlay: str):
    made = {(found["kind"], found["metadata"]["name"]) for found in BUILT[overlay]}
    assert len({found["metadata"]["namespace"] for found in BUILT[overlay]}) == 1
    for template in (*ray_pods(overlay), one(overlay, "Deployment")["spec"]["template"]):
        pod = template["spec"]
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", pod["serviceAccountName"]) in made
        volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
        assert {("PersistentVolumeClaim", claim) for claim in volumes.values()} <= made
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_image_has_one_name_in_one_place(overlay: str):
    nodes = "cpu" if overlay == "cpu" else "gpu"
    image = f"registry.example.com/raygenex:{__version__}"
    for template in ray_pods(overlay):
        for container in (*template["spec"]["containers"], *template["spec"].get("initContainers", [])):
            assert container["image"] == f"{image}-{nodes}"
    (server,) = one(overlay, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert server["image"] == f"{image}-cpu"
    text = (FOLDER / nodes / "kustomization.yaml").read_text(encoding="utf-8")
    assert text.count("registry.example.com") == 1
    assert not any("registry" in path.read_text(encoding="utf-8") for path in (FOLDER / "base").glob("[!k]*.yaml"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_pods_are_versioned_guarded_and_left_where_they_are(overlay: str):
    cluster = ray_cluster(overlay)
    assert f"\nray=={cluster['rayVersion']}\n" in CONSTRAINTS
    assert cluster["authOptions"] == {"mode": "token"}
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert (group["minReplicas"] < group["maxReplicas"]) == cluster.get("enableInTreeAutoscaling", False)
        # The account's right to end pods is the head's alone.
        assert group["template"]["spec"]["automountServiceAccountToken"] is False
    for template in ray_pods(overlay):
        assert template["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert template["spec"]["securityContext"]["runAsUser"] == 1000
        (container,) = template["spec"]["containers"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/mnt/raygenex"}]
        assert {"name": "metrics", "containerPort": 8080} in container["ports"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nfs_takes_no_notice_of_groups_so_the_folder_is_checked(overlay: str, tmp_path: Path):
    head, *_ = ray_pods(overlay)
    assert one(overlay, "PersistentVolumeClaim", "raygenex")["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "fsGroup" not in head["spec"]["securityContext"]
    (check,) = head["spec"]["initContainers"]
    *shell, script = check["command"]
    written = subprocess.run([*shell, script.replace("/mnt/raygenex", str(tmp_path))], capture_output=True, text=True)
    assert (written.returncode, written.stdout) == (0, "")
    missing = script.replace("/mnt/raygenex", str(tmp_path / "absent"))
    refused = subprocess.run([*shell, missing], capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stdout.startswith("the claim raygenex cannot be written by user 1000: ")
    assert len(refused.stdout.splitlines()) == 1


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_a_mistake_is_not_tried_again_on_new_nodes(overlay: str):
    spec = one(overlay, "RayJob")["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["shutdownAfterJobFinishes"] is True


@pytest.mark.parametrize(("overlay", "config"), [("cpu", "demo"), ("gpu", "paper")])
def test_the_command_of_a_job_parses_and_fits_its_workers(overlay: str, config: str, monkeypatch: pytest.MonkeyPatch):
    spec = one(overlay, "RayJob")["spec"]
    for name, value in yaml.safe_load(spec.get("runtimeEnvYAML", "{}")).get("env_vars", {}).items():
        monkeypatch.setenv(name, value)
    python, option, module, verb, *words = shlex.split(spec["entrypoint"])
    assert (python, option, module) == ("python", "-m", "raygenex")
    params = typer.main.get_command(app).commands[verb].make_context(verb, words).params
    inside = Path(params["config"]).relative_to("/home/ray/raygenex")
    assert inside == Path("jobs") / f"{config}.yaml"
    assert "COPY --chown=ray:users jobs jobs" in (ROOT / "jobs" / "Dockerfile").read_text(encoding="utf-8")
    loaded = load_config(ROOT / inside, params["override"])
    assert loaded.output.startswith("/mnt/raygenex/")
    assert loaded.tracking.uri == "http://mlflow:5000"
    for paths in (loaded.data.train, loaded.data.valid, loaded.data.test):
        assert all(place.startswith(("/mnt/raygenex/", "s3://")) for place in paths)
    # Ray reads a pod's limits.
    limits = [template["spec"]["containers"][0]["resources"]["limits"] for template in ray_pods(overlay)[1:]]
    counts = [group["maxReplicas"] for group in ray_cluster(overlay)["workerGroupSpecs"]]
    cpus = sum(count * int(limit["cpu"]) for count, limit in zip(counts, limits, strict=True))
    gpus = sum(count * int(limit.get("nvidia.com/gpu", 0)) for count, limit in zip(counts, limits, strict=True))
    assert cpus >= loaded.train.workers * loaded.train.cpus_per_worker + 1
    assert gpus >= loaded.train.workers * loaded.train.use_gpu
    assert gpus >= loaded.embed.min_actors * loaded.embed.gpus_per_actor
    assert bool(gpus) == (overlay == "gpu")


def test_the_cluster_for_submit_is_that_of_the_gpu_job():
    assert one("submit", "RayCluster")["spec"] == one("gpu", "RayJob")["spec"]["rayClusterSpec"]
    assert [found for found in BUILT["submit"] if found["kind"] != "RayCluster"] == [
        found for found in BUILT["gpu"] if found["kind"] != "RayJob"
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_tracking_server_keeps_its_database_off_shared_folders(overlay: str):
    deployment, service = one(overlay, "Deployment"), one(overlay, "Service")
    assert service["metadata"]["name"] == "mlflow"
    assert service["spec"]["ports"] == [{"name": "http", "port": 5000, "targetPort": "http"}]
    spec = deployment["spec"]
    assert service["spec"]["selector"] == spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    (server,) = spec["template"]["spec"]["containers"]
    assert "--port=5000" in server["command"]
    assert server["ports"] == [{"name": "http", "containerPort": 5000}]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"] == {"path": "/health", "port": "http"}
    (database,) = server["env"]
    assert database["name"] == "MLFLOW_BACKEND_STORE_URI"
    if overlay == "cpu":
        # One replica, on a disk that one node mounts.
        assert database["value"] == "sqlite:////mlflow/mlflow.db"
    else:
        assert database["valueFrom"] == {"secretKeyRef": {"name": "mlflow", "key": "uri"}}
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert server["volumeMounts"] == [{"name": "disk", "mountPath": "/mlflow"}]
    assert spec["template"]["spec"]["volumes"] == [{"name": "disk", "persistentVolumeClaim": {"claimName": "mlflow"}}]
    assert one(overlay, "PersistentVolumeClaim", "mlflow")["spec"]["accessModes"] == ["ReadWriteOnce"]


def opened(policy: dict[str, Any]) -> list[tuple[list[dict[str, Any]], list[int]]]:
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    return [(rule["from"], [port["port"] for port in rule.get("ports", [])]) for rule in policy["spec"]["ingress"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_network_policies_let_in_what_is_needed_and_no_more(overlay: str):
    ray = {"podSelector": {"matchLabels": {"ray.io/is-ray-node": "yes"}}}
    policy = one(overlay, "NetworkPolicy", "ray")
    assert policy["spec"]["podSelector"] == ray["podSelector"]
    among, dashboard = opened(policy)
    assert among == ([ray], [])
    # The submitter's Kubernetes job is named as the RayJob.
    submitter, operator = dashboard[0]
    assert submitter == {"podSelector": {"matchLabels": {"batch.kubernetes.io/job-name": "raygenex"}}}
    assert operator["podSelector"] == {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}}
    assert dashboard[1] == [8265]
    mlflow = one(overlay, "NetworkPolicy", "mlflow")
    labels = one(overlay, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert mlflow["spec"]["podSelector"] == {"matchLabels": labels}
    assert opened(mlflow) == [([ray], [5000])]


def test_prometheus_finds_the_port_of_the_pods():
    (endpoint,) = one("monitoring", "PodMonitor")["spec"]["podMetricsEndpoints"]
    for overlay in OVERLAYS:
        for template in ray_pods(overlay):
            ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
            ((_, allowed),) = opened(one("monitoring", "NetworkPolicy"))
            assert allowed == [ports[endpoint["port"]]]


def test_the_page_applies_folders_that_exist():
    text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    applied = set(re.findall(r"kubectl apply -k ([\w/]+)", text))
    assert {f"jobs/kubernetes/{name}" for name in BUILT} == applied
