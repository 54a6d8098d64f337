# SPDX-License-Identifier: Apache-2.0
"""Our loggers. Imported where something is logged, because `logging` costs time to load."""

from __future__ import annotations

import logging

# Without it, a warning of ours would be printed in programs that set no logging up.
logging.getLogger("beava").addHandler(logging.NullHandler())


def logger(name: str) -> logging.Logger:
    """The logger of a part: "beava.embed"."""
    return logging.getLogger(name)
