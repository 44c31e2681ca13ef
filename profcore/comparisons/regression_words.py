"""What a regression check says, in sentences, as a table, as Markdown and as JUnit's XML; pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from profcore.spec.text import counted
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import MISSING, written, written_interval
from profcore.stats.regression import PASSED, SLOWER, UNDECIDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.regression import Check, Regression

_DECIMALS = 4
_MOST_SAID = 5
_MOST_LISTED = 8
_MOST_ROWS = 60
# What XML 1.0 cannot hold, not even escaped.
_NO_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")


def headline(found: Regression) -> str:
    """The verdict in a sentence."""
    margin = f"{100 * found.margin:g} %"
    if found.itself:
        return f"Same: {found.run} is the baseline itself."
    if found.verdict == SLOWER:
        return f"Slower: {found.run} is slower than {found.reference} by more than {margin}."
    if found.verdict == PASSED:
        return f"Same or faster: nothing of {found.run} is slower than {found.reference} by more than {margin}."
    return f"Undecided: whether {found.run} is slower than {found.reference} by more than {margin} cannot be told."


def sentences(found: Regression) -> list[str]:
    """What there is to say besides the verdict: what is slower, what would decide, and what to know of it."""
    # Of many the most telling are said: those over all settings, then by how much slower each is.
    slower = sorted(found.of(SLOWER), key=lambda each: (each.setting is not None, -(each.ratio or 0.0)))
    said = [check_sentence(each) for each in slower[:_MOST_SAID]]
    if (more := len(slower) - _MOST_SAID) > 0:
        said.append(f"So are {more} more.")
    if found.verdict == UNDECIDED:
        said += _what_would_decide(found)
    if found.lacking:
        listed = ", ".join(found.lacking[:_MOST_LISTED]) + (" …" if len(found.lacking) > _MOST_LISTED else "")
        said.append(f"Not measured again, so not passed either: {listed}.")
    said.append(f"Versions: {'; '.join(found.versions)}." if found.versions else "No version that is recorded differs.")
    if not found.itself:
        said.append(
            f"{counted(len(found.checks), 'latency', 'latencies')} asked about at once: each lower end is taken at "
            f"{100 * found.confidence:.3g} %, so that one is called slower by chance in at most 2.5 % of checks."
        )
    return [*said, *found.notes]


def check_sentence(check: Check) -> str:
    """One latency against the baseline's, in a sentence."""
    what = f"{METRIC_LABELS[check.metric]}, {check.title}"
    if check.ratio is None or check.low is None:
        return f"{what}: too few samples for an interval ({check.samples})."
    times = f"{written(check.ratio, _DECIMALS)} × the baseline's"
    return f"{what}: {times} (95 % from {written(check.low, _DECIMALS)} to {written(check.high, _DECIMALS)})."


def _what_would_decide(found: Regression) -> list[str]:
    """How many samples would decide, if medians and spreads stay as they are."""
    limit = 1 + found.margin
    # One that is slower decides the whole; else all that are undecided have to pass.
    above = [each for each in found.of(UNDECIDED) if each.ratio is not None and each.ratio > limit]
    open_ = [each for each in found.of(UNDECIDED) if each.setting is not None or each in above]
    if not open_:
        return []
    asked, choose = (above, min) if above else (open_, max)
    for name in ("needed", "both"):
        numbers = [getattr(each, name) for each in asked]
        known = [number for number in numbers if number is not None]
        if (known and above) or (known and len(known) == len(numbers)):
            samples, now = choose(known), min(each.samples for each in asked)
            of = f"of {found.run}" if name == "needed" else f"of {found.run}, and as many more of {found.reference},"
            return [
                f"About {samples:,} samples a setting {of} would decide it (it has {now:,}), if medians and spreads "
                f"stay as they are; undecided: {counted(len(open_), 'latency', 'latencies')}."
            ]
    return [
        "No number of samples decides it: how far processes differ, or how little the ratio differs from the margin, "
        "leaves it open. Measure more processes, or choose another margin."
    ]


def telling(found: Regression) -> tuple[Check, ...]:
    """The checks that a person looks at first: of many those that did not pass, and those over all settings."""
    if len(found.checks) <= _MOST_ROWS:
        return found.checks
    return tuple(each for each in found.checks if each.setting is None or each.verdict != PASSED)


def table(checks: Sequence[Check]) -> list[dict[str, str]]:
    """Checks as rows for people, the most telling columns first."""
    return [
        {
            "latency": METRIC_LABELS[each.metric],
            "setting": each.title,
            "verdict": each.verdict,
            "ratio": _figure(each.ratio, _DECIMALS),
            "95 %": MISSING if each.low is None or each.high is None else _interval(each.low, each.high),
            "surely from": _figure(each.sure_low, _DECIMALS),
            "baseline (ms)": _figure(each.reference_ms),
            "this run (ms)": _figure(each.median_ms),
            "samples": written(each.samples, 0),
        }
        for each in checks
    ]


def left_out(found: Regression, checks: Sequence[Check]) -> str:
    """How many checks a table leaves out, in a sentence; empty where it has them all."""
    number = len(found.checks) - len(checks)
    if not number:
        return ""
    return (
        f"{counted(number, 'latency', 'latencies')} of single settings that passed are not listed; JSON has them all."
    )


def _interval(low: float, high: float) -> str:
    return written_interval(low, high, _DECIMALS)


def _figure(value: float | None, places: int | None = None) -> str:
    return MISSING if value is None else written(value, places)


def as_markdown(found: Regression) -> str:
    """A report for a pull request or a job's summary."""
    checks = telling(found)
    rows = table(checks)
    lines = [f"**{_escaped(headline(found))}**", "", *(f"- {_escaped(each)}" for each in sentences(found)), ""]
    lines += [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    lines += [f"| {' | '.join(_escaped(cell) for cell in row.values())} |" for row in rows]
    lines += ["", more] if (more := left_out(found, checks)) else []
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def as_junit(found: Regression) -> str:
    """A suite with a case for each latency and setting: what is slower failed, what is undecided was skipped."""
    counts = {word: len(found.of(verdict)) for word, verdict in (("failures", SLOWER), ("skipped", UNDECIDED))}
    whole = {
        "name": f"{found.run} against {found.reference}",
        "tests": str(len(found.checks) + len(found.lacking)),
        "failures": str(counts["failures"]),
        "errors": "0",
        "skipped": str(counts["skipped"] + len(found.lacking)),
    }
    suites = ET.Element("testsuites", _clean(whole))
    suite = ET.SubElement(suites, "testsuite", _clean(whole))
    properties = ET.SubElement(suite, "properties")
    said = {"verdict": found.verdict, "margin": f"{found.margin:g}", "versions": "; ".join(found.versions)}
    for name, value in said.items():
        ET.SubElement(properties, "property", _clean({"name": name, "value": value}))
    for check in found.checks:
        case = _case(suite, METRIC_LABELS[check.metric], check.title)
        if check.verdict == SLOWER:
            ET.SubElement(case, "failure", _clean({"message": check_sentence(check), "type": "slower"}))
        elif check.verdict == UNDECIDED:
            ET.SubElement(case, "skipped", _clean({"message": f"undecided: {check_sentence(check)}"}))
    for title in found.lacking:
        ET.SubElement(_case(suite, "not measured again", title), "skipped", {"message": "undecided: it has no samples"})
    output = ET.SubElement(suite, "system-out")
    output.text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", "\n".join([headline(found), *sentences(found)]))
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _case(suite: ET.Element, latency: str, title: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", _clean({"classname": f"profcore.{latency}", "name": title}))


def _clean(attributes: dict[str, str]) -> dict[str, str]:
    """Attributes without the characters that XML cannot hold."""
    return {name: _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text) for name, text in attributes.items()}
