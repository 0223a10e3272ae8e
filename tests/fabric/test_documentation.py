"""The examples of the pages about Fabric do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from tests.fabric.conftest import free_ports

DOCUMENTATION = Path(__file__).parents[2] / "docs"
REFERENCE = DOCUMENTATION / "reference" / "fabric-network.md"
SEPARATE_HOSTS = DOCUMENTATION / "how-to" / "separate-hosts.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [REFERENCE, SEPARATE_HOSTS])
def test_the_consortiums_file_is_one(page: Path, tmp_path: Path) -> None:
    (text,) = blocks(page, "yaml")
    path = tmp_path / "consortium.yaml"
    path.write_text(text)
    config = FabricConfig.load(path)
    path.write_text(config.to_yaml())
    assert FabricConfig.load(path) == config


def test_the_python_of_the_pages_compiles() -> None:
    for page in (REFERENCE, SEPARATE_HOSTS):
        for block in blocks(page, "python"):
            compile(block, str(page), "exec")


@pytest.mark.fabric
def test_the_example_brings_a_network_up_and_down(programs: Programs, tmp_path: Path) -> None:
    (example,) = blocks(REFERENCE, "python")
    example = example.replace("first_port=7050", f"first_port={free_ports()}")
    example = example.replace("find_programs())", "find_programs(), attached=True)")
    namespace: dict[str, Any] = {}
    exec(example.replace('Path("run/fabric")', f"Path({str(tmp_path / 'run')!r})"), namespace)
    network = namespace["network"]
    assert isinstance(network, FabricNetwork)
    assert all(program.pid is None for program in network.status())
