"""docs/kuberay.yaml, as far as it can be checked without a cluster: it parses, and has what a RayCluster must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFEST = Path(__file__).resolve().parents[2] / "docs" / "kuberay.yaml"
# what KubeRay's operator and Kubernetes refuse to be without, as dotted paths; [] is every one of a list
NEEDED = (
    "spec.rayVersion",
    "spec.headGroupSpec.rayStartParams",
    "spec.headGroupSpec.template.spec.containers[].name",
    "spec.headGroupSpec.template.spec.containers[].image",
    "spec.workerGroupSpecs[].groupName",
    "spec.workerGroupSpecs[].replicas",
    "spec.workerGroupSpecs[].minReplicas",
    "spec.workerGroupSpecs[].maxReplicas",
    "spec.workerGroupSpecs[].rayStartParams",
    "spec.workerGroupSpecs[].template.spec.containers[].name",
    "spec.workerGroupSpecs[].template.spec.containers[].image",
)


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def at(found: Any, path: str) -> list[Any]:
    """All that lies at a path. Raises KeyError."""
    for step in path.split("."):
        several = [one[step.removesuffix("[]")] for one in (found if isinstance(found, list) else [found])]
        found = [inner for one in several for inner in one] if step.endswith("[]") else several
    return list(found)


def test_it_is_a_ray_cluster_with_all_that_one_needs(documents: list[dict[str, Any]]) -> None:
    cluster, claim = documents
    assert (cluster["apiVersion"], cluster["kind"], claim["kind"]) == (
        "ray.io/v1",
        "RayCluster",
        "PersistentVolumeClaim",
    )
    for path in NEEDED:
        assert all(one is not None for one in at(cluster, path)), path


def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spec = documents[0]["spec"]
    return [one["template"]["spec"] for one in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_every_container_asks_for_the_token_and_takes_it_from_the_secret(documents: list[dict[str, Any]]) -> None:
    for pod in pods(documents):
        for container in pod["containers"]:
            told = {one["name"]: one for one in container["env"]}
            assert told["RAY_AUTH_MODE"]["value"] == "token"
            assert told["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "autoresearch-token"
    assert documents[0]["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_every_mounted_volume_is_there_and_numbers_are_what_ray_start_takes(documents: list[dict[str, Any]]) -> None:
    for pod in pods(documents):
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    claims = [volume["persistentVolumeClaim"]["claimName"] for pod in pods(documents) for volume in pod["volumes"]
              if "persistentVolumeClaim" in volume]  # fmt: skip
    assert claims == [documents[1]["metadata"]["name"]]
    for group in (documents[0]["spec"]["headGroupSpec"], *documents[0]["spec"]["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())  # KubeRay takes text alone
