# SPDX-License-Identifier: Apache-2.0
"""What the property tests did, for the closing line."""

from __future__ import annotations

import os
from collections import Counter

COUNTS: Counter[str] = Counter()


def examples(number: int) -> int:
    return max(1, int(number * float(os.environ.get("BEAVA_PROPERTY_EXAMPLES", "1"))))
