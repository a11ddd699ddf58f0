"""Attacks: generated and bulk input, signals, full disks. Every run must end as `rules.py` says.

They are left out unless asked for: `python -m pytest -m hostile`. The same cases are tried each time. With
SMD_ATTACKS=10 ten times as many are tried, other ones each time. The summary says how many.
"""

from pathlib import Path

import pytest

from tests.hostile.rules import TRIED

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that stands in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.hostile)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many cases each attack tried."""
    if not TRIED:
        return
    terminalreporter.section("attacks")
    for attack, count in sorted(TRIED.items()):
        terminalreporter.line(f"{count:6} {attack}")
    terminalreporter.line(f"{TRIED.total():6} in all")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, and let no setting of the caller's matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMD_MODEL", raising=False)
    return tmp_path
