"""What `kubectl kustomize` builds from a folder, for the keys that jobs/kubernetes uses; any other key is an error."""

import json
from pathlib import Path
from typing import Any

import yaml

KEYS = {"apiVersion", "kind", "namespace", "resources", "images", "patches"}


def build(folder: Path) -> list[dict[str, Any]]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(kustomization) <= KEYS, set(kustomization) - KEYS
    objects: list[dict[str, Any]] = []
    for name in kustomization["resources"]:
        path = folder / name
        objects += build(path) if path.is_dir() else read_objects(path)
    for patch in kustomization.get("patches", []):
        targets = [found for found in objects if found["kind"] == patch["target"]["kind"]]
        assert len(targets) == 1, patch
        kind = targets[0]["kind"]
        apply_patch(targets[0], yaml.safe_load((folder / patch["path"]).read_text(encoding="utf-8")))
        assert targets[0]["kind"] == kind or patch["options"] == {"allowKindChange": True}
    for found in objects:
        for image in kustomization.get("images", []):
            name_image(found, image)
        if "namespace" in kustomization:
            found["metadata"]["namespace"] = kustomization["namespace"]
    return objects


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Read every document of a file; what an anchor repeats becomes a copy, which a patch may change alone."""
    return json.loads(json.dumps(list(yaml.safe_load_all(path.read_text(encoding="utf-8")))))


def apply_patch(document: Any, operations: list[dict[str, Any]]) -> None:
    """Change a document by the operations of a JSON patch (RFC 6902)."""
    for operation in operations:
        value = operation.get("value")
        if operation["op"] == "move":
            parent, key = find(document, operation["from"])
            value = parent.pop(key)
        parent, key = find(document, operation["path"])
        assert operation["op"] in ("add", "replace", "move"), operation
        assert operation["op"] != "replace" or parent[key] is not None, operation
        assert operation["op"] != "add" or key not in parent, operation
        parent[key] = json.loads(json.dumps(value))


def find(document: Any, pointer: str) -> tuple[Any, Any]:
    """Return what holds the value that a JSON pointer names, and its key there."""
    *folders, key = pointer.removeprefix("/").split("/")
    for folder in folders:
        document = document[int(folder) if isinstance(document, list) else folder]
    return document, int(key) if isinstance(document, list) else key


def name_image(found: Any, image: dict[str, str]) -> None:
    if isinstance(found, dict):
        for containers in (found.get("containers", []), found.get("initContainers", [])):
            for container in containers:
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        name_image(inner, image)
