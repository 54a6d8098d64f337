# SPDX-License-Identifier: Apache-2.0
"""How many examples, and what they came to.

CI runs the profile `ci`: always the same examples. BEAVA_PROPERTY_EXAMPLES=N (a factor, 1 by
default) runs N times as many; above 1 they are random, and a failure prints how to repeat it.
"""

from __future__ import annotations

import os

import hypothesis
import pytest
import tally

SCALE = float(os.environ.get("BEAVA_PROPERTY_EXAMPLES", "1"))
COMMON = {
    "deadline": None,
    "suppress_health_check": list(hypothesis.HealthCheck),
    "print_blob": True,
    "database": None,
    "report_multiple_bugs": False,
}
hypothesis.settings.register_profile("ci", derandomize=True, **COMMON)
hypothesis.settings.register_profile("more", derandomize=False, **COMMON)
hypothesis.settings.load_profile("ci" if SCALE <= 1 else "more")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = ", ".join(f"{count} {name}" for name, count in sorted(tally.COUNTS.items()))
    profile = hypothesis.settings.get_current_profile_name()
    terminalreporter.write_line(f"property tests, profile {profile}: {counted or 'nothing ran'}")
