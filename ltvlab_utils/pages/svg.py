"""Figures as SVG: x in percent, y in pixels, so that they fit any width while type and strokes keep their size.

Each function takes numbers and finished words and returns markup; nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltvlab_utils.i18n import is_known
from ltvlab_utils.pages.html import Html, el


@dataclass(frozen=True)
class Step:
    """One bar of a waterfall. `level`: opening or closing; else a change. `calculation`: not the customers' doing."""

    label: str
    note: str
    value: float
    level: bool = False
    calculation: bool = False


def figure(height: int, title: str, description: str, *parts: object, class_: str = "") -> Html:
    """An SVG of full width with a title and a description for those who do not see it."""
    return el(
        "svg",
        el("title", title),
        el("desc", description) if description else None,
        *parts,
        role="img",
        class_=f"fig {class_}".strip(),
        width="100%",
        height=height,
        aria_label=f"{title}. {description}" if description else title,
    )


def pct(x: float) -> str:
    return f"{x:.2f}%"


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Linear map of [low, high] to [start, end]; a range without width maps to the middle."""
    if high == low:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Stretches of known points: a gap in the data stays a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if is_known(y):
            runs[-1].append((x, float(y)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def sparkline(
    values: Sequence[float | None], targets: Sequence[float | None], title: str, description: str, height: int = 40
) -> Html | None:
    """A history with its target (dashed); a ring marks the same month last year, a dot the last value."""
    known = [float(v) for v in (*values, *targets) if is_known(v)]
    if sum(is_known(v) for v in values) < 2:
        return None
    y = scale(min(known), max(known), height - 6, 6)
    x = scale(0, len(values) - 1, 2, 97)
    lines = []
    for series, kind in ((targets, "target"), (values, "line")):
        for run in _runs([(x(i), v) for i, v in enumerate(series)]):
            where = " ".join(f"{px:.2f},{y(v):.1f}" for px, v in run)
            lines.append(el("polyline", points=where, class_=kind, vector_effect="non-scaling-stroke"))
    inner = el("svg", *lines, viewBox=f"0 0 100 {height}", preserveAspectRatio="none", width="100%", height=height)
    last = max(i for i, v in enumerate(values) if is_known(v))
    ring = last - 12
    marks = [el("circle", cx=pct(x(last)), cy=f"{y(float(values[last])):.1f}", r=3.2, class_="dot")]
    if ring >= 0 and is_known(values[ring]):
        marks.insert(0, el("circle", cx=pct(x(ring)), cy=f"{y(float(values[ring])):.1f}", r=2.8, class_="ring"))
    return figure(height, title, description, inner, *marks, class_="spark")


def interval_strip(
    low: float,
    value: float,
    high: float,
    title: str,
    description: str,
    target: float | None = None,
    before: float | None = None,
    zero: bool = False,
    height: int = 40,
) -> Html:
    """A forecast: band from low to high, a dot, a dashed tick at the target, a ring at the earlier value."""
    others = [float(v) for v in (target, before, 0.0 if zero else None) if is_known(v)]
    ends = [low, high, value, *others]
    x = scale(min(ends), max(ends), 4, 96)
    middle = height / 2
    parts = [
        el("line", x1="0%", x2="100%", y1=middle, y2=middle, class_="rail"),
        el("rect", x=pct(x(low)), width=pct(x(high) - x(low)), y=middle - 6, height=12, rx=2, class_="band"),
    ]
    if zero:
        parts.append(el("line", x1=pct(x(0)), x2=pct(x(0)), y1=4, y2=height - 4, class_="zero"))
    if is_known(target):
        parts.append(el("line", x1=pct(x(target)), x2=pct(x(target)), y1=4, y2=height - 4, class_="target"))
    if is_known(before):
        parts.append(el("circle", cx=pct(x(before)), cy=middle, r=3, class_="ring"))
    parts.append(el("circle", cx=pct(x(value)), cy=middle, r=4.2, class_="dot"))
    return figure(height, title, description, *parts, class_="strip")


def _levels(steps: Sequence[Step]) -> list[tuple[float, float]]:
    """(from, to) of each bar."""
    spans, running = [], 0.0
    for step in steps:
        start, running = (0.0, step.value) if step.level else (running, running + step.value)
        spans.append((start, running))
    return spans


def cut_of(steps: Sequence[Step]) -> float:
    """Where the axis begins: 0, or higher when the levels would dwarf the changes."""
    ends = [end for _, end in _levels(steps)]
    low, high = min(ends), max(ends)
    if low <= 0 or high - low > 0.35 * high:
        return min(0.0, low)
    return max(0.0, low - 0.9 * (high - low)) if high > low else 0.5 * low


def waterfall(
    steps: Sequence[Step], write: Callable[[Step], str], title: str, description: str, height: int = 250
) -> Html:
    """Levels in ink, gains blue, losses orange, calculation hatched; a cut axis is marked on the bars it cuts."""
    spans, base = _levels(steps), cut_of(steps)
    top = max(max(span) for span in spans)
    y = scale(base, top, height - 44, 26)
    column = 100 / len(steps)
    bar = column * 0.66
    parts = []
    for i, (step, (start, end)) in enumerate(zip(steps, spans, strict=True)):
        left, middle = i * column + (column - bar) / 2, (i + 0.5) * column
        upper, lower = y(max(start, end, base)), y(max(min(start, end), base))
        kind = "level" if step.level else "calc" if step.calculation else "gain" if step.value >= 0 else "loss"
        thick = max(lower - upper, 1.5)
        parts.append(el("rect", x=pct(left), width=pct(bar), y=f"{upper:.1f}", height=f"{thick:.1f}", class_=kind))
        if step.level and base > 0:
            at = height - 62
            parts.append(
                el("line", x1=pct(left - 1), x2=pct(left + bar + 1), y1=at + 4, y2=at - 4, stroke_width=4, class_="cut")
            )
        if i + 1 < len(steps):
            parts.append(
                el(
                    "line",
                    x1=pct(left + bar),
                    x2=pct(left + column),
                    y1=f"{y(end):.1f}",
                    y2=f"{y(end):.1f}",
                    class_="link",
                )
            )
        parts.append(el("text", write(step), x=pct(middle), y=f"{upper - 7:.1f}", class_=f"n {kind}-n"))
        parts.append(el("text", step.label, x=pct(middle), y=height - 24, class_="l"))
        parts.append(el("text", step.note, x=pct(middle), y=height - 8, class_="s"))
    hatch = _hatch() if any(step.calculation for step in steps) else None
    return figure(height, title, description, hatch, *parts, class_="waterfall")


def _hatch() -> Html:
    square = {"width": 6, "height": 6}
    lines = el("rect", **square, class_="hatch-paper"), el("line", x1=0, x2=0, y1=0, y2=6, class_="hatch-line")
    turned = {"patternTransform": "rotate(45)", "patternUnits": "userSpaceOnUse"}
    return el("defs", el("pattern", *lines, id="hatch", **square, **turned))


def columns(
    values: Sequence[float], labels: Sequence[str], words: Sequence[str], strong: int, title: str, description: str,
    height: int = 250,
) -> Html:  # fmt: skip
    """Plain columns from zero, the first `strong` ones in full colour; values below zero hang."""
    y = scale(min(0.0, *values), max(0.0, *values), height - 30, 22)
    column = 100 / len(values)
    parts = []
    for i, value in enumerate(values):
        upper, lower = y(max(value, 0)), y(min(value, 0))
        kind = "loss" if value < 0 else "gain" if i < strong else "pale"
        middle = pct((i + 0.5) * column)
        parts += [
            el("rect", x=pct(i * column + column * 0.14), width=pct(column * 0.72), y=f"{upper:.1f}",
               height=f"{max(lower - upper, 1.5):.1f}", class_=kind),
            el("text", words[i], x=middle, y=f"{upper - 6:.1f}", class_="n"),
            el("text", labels[i], x=middle, y=height - 8, class_="s"),
        ]  # fmt: skip
    return figure(height, title, description, *parts, class_="columns")


def effect_row(
    low: float | None,
    effect: float | None,
    high: float | None,
    naive: float | None,
    domain: tuple[float, float],
    kind: str,
    title: str,
    height: int = 44,
) -> Html:
    """One row of a forest: zero line, dot and interval where an effect is known, the naive reading as a diamond."""
    x = scale(*domain, 3, 97)
    middle = height / 2
    parts = [el("line", x1=pct(x(0)), x2=pct(x(0)), y1=0, y2=height, class_="zero")]
    if is_known(low) and is_known(high):
        parts.append(el("line", x1=pct(x(low)), x2=pct(x(high)), y1=middle, y2=middle, class_=f"ci {kind}"))
    if is_known(naive):
        diamond = el("path", d="M0 -5.2 L5.2 0 L0 5.2 L-5.2 0 Z", class_="diamond", transform=f"translate(0 {middle})")
        parts.append(el("svg", diamond, x=pct(x(naive)), overflow="visible"))
    if is_known(effect):
        parts.append(el("circle", cx=pct(x(effect)), cy=middle, r=4.6, class_=f"point {kind}"))
    return figure(height, title, "", *parts, class_="effect-row")
