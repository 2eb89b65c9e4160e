"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from source import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert len(BLOCKS) == 5
    assert (tmp_path / "ddim.json").is_file()
    first, second, third, *budget = capsys.readouterr().out.splitlines()
    assert first == "the same method"
    assert second.startswith("They part in step 0, the state, term start: ")
    assert third.startswith("pass       ExponentialAdams(2) on ")
    assert budget[0].endswith("(W2, exact laws)")
