"""What the reference page says the program takes, and its example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs/reference/chaincode-service.md").read_text()


def test_the_example_serves(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "chaincode-service.md", "exec"), {})
    assert re.search(r"^127\.0\.0\.1:\d+$", capsys.readouterr().out, re.MULTILINE)


def test_it_names_every_option_and_variable():
    result = subprocess.run(
        [sys.executable, "-m", "fedledger_chaincode.service", "--help"], capture_output=True, text=True, check=True
    )
    names = set(re.findall(r"--[a-z-]{3,}|CHAINCODE_[A-Z_]+", result.stdout)) - {"--help"}
    assert names and all(name in PAGE for name in names)
