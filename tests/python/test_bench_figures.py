"""What the benchmarks make of a server's histograms and of the times of its snapshots."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import metrics

NAME = "beava_apply_pause_seconds"


def histogram(*counts: int, longest: float | None = None) -> metrics.Samples:
    """Cumulative buckets up to 64, 128, 256 and 512 us and above, and the maximum of all time."""
    lines = [f"# HELP {NAME} how long", f"# TYPE {NAME} histogram"]
    bounds = ("6.4e-05", "0.000128", "0.000256", "0.000512", "+Inf")
    for at, bound in enumerate(bounds):
        lines.append(f'{NAME}_bucket{{le="{bound}"}} {sum(counts[: at + 1])}')
    lines.append(f"{NAME}_count {sum(counts)}")
    if longest is not None:
        lines.append(f"beava_apply_pause_max_seconds {longest}")
    return metrics.parse("\n".join(lines) + "\n")


def test_samples_are_added_up_over_labels() -> None:
    text = 'beava_entities{table="A"} 3\nbeava_entities{table="B"} 4\nbeava_entities_total 9\n'
    assert metrics.total(metrics.parse(text), "beava_entities") == 7
    assert metrics.total(metrics.parse(text), "beava_other") == 0


def test_longest_is_the_bound_of_the_highest_bucket_that_grew() -> None:
    before = histogram(10, 0, 0, 1, 0)
    assert metrics.longest(before, histogram(10, 0, 2, 1, 0), NAME) == 256e-6
    assert metrics.longest(before, histogram(11, 0, 0, 1, 0), NAME) == 64e-6
    assert metrics.longest(before, histogram(11, 0, 0, 1, 1), NAME) == float("inf")


def test_longest_is_never_above_the_servers_own_maximum() -> None:
    before = histogram(1, 0, 0, 0, 0)
    after = histogram(1, 0, 0, 1, 0, longest=0.000301)
    assert metrics.longest(before, after, NAME) == 0.000301


def test_longest_is_unknown_when_nothing_was_counted() -> None:
    assert metrics.longest(histogram(5, 1, 0, 0, 0), histogram(5, 1, 0, 0, 0), NAME) is None
    assert metrics.longest({}, {}, NAME) is None


def test_only_what_surely_was_longer_counts_as_above_a_limit() -> None:
    before = histogram(5, 1, 1, 1, 1)
    after = histogram(9, 2, 3, 4, 6)
    assert metrics.above(before, after, NAME, 300e-6) == 5
    assert metrics.above(before, after, NAME, 128e-6) == 10


def test_a_snapshot_over_an_edge_counts_with_its_share() -> None:
    taken = [metrics.Snapshot(0.0, 4.0, 400), metrics.Snapshot(5.0, 6.0, 100)]
    rate, share = metrics.written_between(taken, 2.0, 7.0)
    assert rate == pytest.approx(100.0)
    assert share == pytest.approx(3.0 / 5.0)
    assert metrics.written_between(taken, 8.0, 9.0) == (0.0, 0.0)
