"""Verdicts as JUnit XML, which CI systems read. Knows no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from smd_cli import __version__
from smd_cli.app.verification.criterion import Criterion
from smd_cli.app.verification.verdict import Verdict
from smd_cli.media.files import Existing, check_plain_target, write_bytes
from smd_cli.regular_files import open_regular
from smd_cli.visible import visible

_LOOKED_AT = 512  # bytes
_NOT_XML = str.maketrans({"\ufffe": "\\ufffe", "\uffff": "\\uffff"})


@dataclass(frozen=True)
class JUnitReport:
    """A file of JUnit XML, which replaces an earlier one."""

    path: Path

    def check(self) -> None:
        """Raise UsageError, before any work, where it cannot be written, or another file lies there."""
        check_plain_target(self.path, Existing.OVERWRITE if _is_report(self.path) else Existing.REPLACE_OWN)

    def write(self, verdicts: Sequence[Verdict], criterion: Criterion, began: datetime) -> None:
        """Write it whole. Raises as `check`; SmdError: the system refuses."""
        write_bytes(self.path, junit_xml(verdicts, criterion, began), partial(JUnitReport.check, self))


def junit_xml(verdicts: Sequence[Verdict], criterion: Criterion, began: datetime) -> bytes:
    """Return a document with a case for each verdict: `differs` is a failure, `failed` is an error."""
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(_count(verdicts)["differs"]),
        "errors": str(_count(verdicts)["failed"]),
        "time": _seconds(sum(verdict.seconds for verdict in verdicts)),
    }
    root = Element("testsuites", {"name": "smd verify", **counts})
    stamp = began.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")  # schemas allow no time zone
    suite = SubElement(
        root, "testsuite", {"name": "smd verify", **counts, "skipped": "0", "timestamp": stamp}
    )
    properties = SubElement(suite, "properties")
    for name, value in {"smd": __version__, "criterion": str(criterion)}.items():
        SubElement(properties, "property", {"name": name, "value": value})
    for verdict in verdicts:
        _add_case(suite, verdict)
    indent(root)
    document: bytes = tostring(root, "utf-8", xml_declaration=True)
    return document + b"\n"


def _add_case(suite: Element, verdict: Verdict) -> None:
    case = SubElement(
        suite,
        "testcase",
        {"classname": _text(verdict.suite), "name": _text(verdict.name), "time": _seconds(verdict.seconds)},
    )
    if verdict.status == "same":
        return
    kind = "failure" if verdict.status == "differs" else "error"
    lines = [_text(reason) for reason in verdict.reasons]
    told = SubElement(case, kind, {"type": verdict.status, "message": _text(verdict.reasons[0].text)})
    told.text = "\n".join(
        [*lines, *([f"difference: {_text(verdict.difference)}"] if verdict.difference else [])]
    )


def _text(text: str) -> str:
    """Return a text as one line of what XML can hold: no controls, no halves of characters."""
    return visible(text).translate(_NOT_XML)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _count(verdicts: Sequence[Verdict]) -> Counter[str]:
    return Counter(verdict.status for verdict in verdicts)


def _is_report(path: Path) -> bool:
    """Tell whether a file is JUnit XML already."""
    try:
        with open_regular(path) as file:
            begin = file.read(_LOOKED_AT)
    except OSError:
        return False
    return begin.startswith(b"<?xml") and b"<testsuite" in begin
