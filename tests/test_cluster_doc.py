"""docs/cluster.md: its commands are commands of smd, and its cluster has the keys that KubeRay knows."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.cli.program import smd

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "cluster.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    command[1]
    for kind, block in BLOCKS
    for command in re.finditer(r"(?:\bsmd|-m smd_cli) (render [^#'\n]+)", block)
    if kind == "sh"
]

# The fields of KubeRay's API reference, https://docs.ray.io/en/master/cluster/kubernetes/references/api.html
CLUSTER = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "authOptions", "headGroupSpec"}
CLUSTER |= {"workerGroupSpecs"}
GROUP = {"rayStartParams", "template"}
WORKERS = GROUP | {"groupName", "replicas", "minReplicas", "maxReplicas"}
CONTAINER = {"name", "image", "resources", "volumeMounts"}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_good_ones(command, monkeypatch):
    """They are tried without rendering, on scenes that are there, and never reach a cluster."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'smd-cli[ray]'")
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    arguments = [each for word in words for each in (map(str, Path().glob(word)) if "*" in word else [word])]
    done = smd(*arguments, "--dry-run", "--output-dir", "nowhere", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")


def test_there_are_commands():
    assert len(COMMANDS) == 6


def test_the_cluster_of_kuberay_has_its_keys():
    (cluster,) = (yaml.safe_load(block) for kind, block in BLOCKS if kind == "yaml")
    assert cluster["apiVersion"] == "ray.io/v1"
    assert cluster["kind"] == "RayCluster"
    spec = cluster["spec"]
    assert set(spec) == CLUSTER
    head, (workers,) = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert set(head) == GROUP
    assert set(workers) == WORKERS
    assert all(isinstance(value, str) for value in head["rayStartParams"].values())
    for group in (head, workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert set(container) == CONTAINER
        assert container["resources"]["limits"] == container["resources"]["requests"]
        mounted, volumes = container["volumeMounts"], pod["volumes"]
        assert [each["name"] for each in mounted] == [each["name"] for each in volumes]
    image = next(block for kind, block in BLOCKS if kind == "dockerfile").split()[1]
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert spec["rayVersion"] == pinned
    assert image == f"rayproject/ray:{pinned}-py311-gpu"
