"""Places where the jobs of a sweep run, made for a test on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from aeexp.signals import ENDING


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A real one, of two nodes on this machine; skipped, with a word, where it cannot be had."""
    if shutil.which("slurmctld") is None or shutil.which("munged") is None or os.geteuid() != 0:
        pytest.skip("Slurm is not here (Debian: apt-get install slurm-wlm munge, as root)")
    pytest.importorskip("submitit")
    script, place = Path(__file__).with_name("slurm-two-nodes"), str(tmp_path / "slurm")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # what it starts keeps them open
    subprocess.run(["bash", str(script), "start", place], check=True, timeout=100, **quiet)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm" / "slurm.conf"))
    yield
    subprocess.run(["scancel", "--user=root"], check=False, timeout=60, **quiet)
    subprocess.run(["bash", str(script), "stop", place], check=False, timeout=60, **quiet)


@pytest.fixture
def ray_cluster(monkeypatch):
    """Two nodes on this machine."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    handlers = {number: signal.getsignal(number) for number in ENDING}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster, node
    cluster.shutdown()
    for number, handler in handlers.items():  # Ray leaves its own
        signal.signal(number, handler)
