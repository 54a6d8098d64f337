"""The values of a run, and how they are printed: median, spread, and ratio to every control."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


class Series:
    """Values by label (what is measured), contender and unit, one per round."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, dict[str, list[float]]]] = {}
        self.notes: list[str] = []

    def add(self, label: str, contender: str, unit: str, value: float) -> None:
        rows = self._values.setdefault(label, {}).setdefault(contender, {})
        rows.setdefault(unit, []).append(value)

    def add_run(self, label: str, contender: str, report: dict[str, Any]) -> None:
        """Rate, rate per second of the server's processor time, and latency of one driver run."""
        self.add(label, contender, "k/s", report["events_per_sec"] / 1e3)
        if report["server_cpu_secs"] > 0.1:
            per_cpu = report["acked"] / report["server_cpu_secs"]
            self.add(label, contender, "k/cpu-s", per_cpu / 1e3)
        for name, key in (("us p50", "p50"), ("us p99", "p99"), ("us p99.9", "p999")):
            self.add(label, contender, name, report["push_us"][key])

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def median(self, label: str, contender: str, unit: str) -> float | None:
        values = self._values.get(label, {}).get(contender, {}).get(unit)
        return statistics.median(values) if values else None

    def worst(self, label: str, contender: str, unit: str) -> float | None:
        """The largest, of what no median may hide."""
        values = self._values.get(label, {}).get(contender, {}).get(unit)
        return max(values) if values else None

    def as_dict(self) -> dict[str, Any]:
        return {"values": self._values, "notes": self.notes}

    def labels(self) -> list[str]:
        return list(self._values)

    def rows(self, label: str) -> dict[str, dict[str, list[float]]]:
        return self._values[label]


@dataclass(frozen=True)
class Goal:
    """One figure of goals.md; `value` is None when a control or a run is missing."""

    name: str
    value: float | None
    relation: str
    limit: float

    def is_met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.relation == ">=" else self.value <= self.limit


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return f"{number(statistics.median(values)):>8} [{low} .. {high}]"


def ratio(series: Series, label: str, contender: str) -> str:
    """How many times ours is what this control reaches, for the first of our modes in the row."""
    rows = series.rows(label)
    mine = next((name for name in rows if name.startswith("beava")), None)
    unit = next(iter(rows[contender]))
    if mine is None or contender.startswith("beava") or unit not in rows[mine]:
        return ""
    theirs = statistics.median(rows[contender][unit])
    if theirs <= 0:
        return ""
    return f"{statistics.median(rows[mine][unit]) / theirs:.2f}x"


def print_series(series: Series) -> None:
    """One block per label; the last column is ours divided by the control."""
    for label in series.labels():
        print(label)
        with_controls = _with_shared_controls(series, label)
        width = max(15, *map(len, with_controls.rows(label)))
        for contender in with_controls.rows(label):
            units = with_controls.rows(label)[contender]
            main = next(iter(units))
            cells = [f"{contender:{width}} {spread(units[main]):30} {main:6}"]
            for unit in list(units)[1:]:
                cells.append(f"{number(statistics.median(units[unit])):>7} {unit}")
            times = ratio(with_controls, label, contender)
            print("  " + "  ".join(cells) + (f"   ours/this {times}" if times else ""))
        print()
    for text in series.notes:
        print(f"note: {text}")


def _with_shared_controls(series: Series, label: str) -> Series:
    """N and R do not look at keys: both key shapes are compared with the same runs of them."""
    merged = Series()
    for source in (label, label.rsplit(" ", 1)[0]):
        if source not in series.labels() or (source != label and not label.startswith("P1 ")):
            continue
        for contender, units in series.rows(source).items():
            for unit, values in units.items():
                for value in values:
                    merged.add(label, contender, unit, value)
    return merged


def print_goals(goals: list[Goal]) -> None:
    print(f"\n{'goal':44} {'figure':>10} {'goal':>12}  met")
    for goal in goals:
        value = "not run" if goal.value is None else number(goal.value)
        met = {None: "-", True: "yes", False: "NO"}[goal.is_met()]
        print(f"{goal.name:44} {value:>10} {goal.relation:>5} {number(goal.limit):>6}  {met}")
