# SPDX-License-Identifier: Apache-2.0
"""The aggregation helpers under the name that published programs import, and their old names."""

from __future__ import annotations

import warnings
from typing import Any

from . import operators
from ._descriptor import AggDescriptor
from .operators import *  # noqa: F403

__all__ = [
    "AggDescriptor",
    *operators.__all__,
    "avg",
    "variance",
    "stddev",
    "count_distinct",
    "percentile",
]


def _warn(old: str, new: str) -> None:
    # 3: the line that called the alias, past this function.
    warnings.warn(f"bv.{old} is deprecated; use bv.{new}", DeprecationWarning, stacklevel=3)


def avg(field: str, **kwargs: Any) -> AggDescriptor:
    """Deprecated: use `mean`."""
    _warn("avg", "mean")
    return operators.mean(field, **kwargs)


def variance(field: str, **kwargs: Any) -> AggDescriptor:
    """Deprecated: use `var`."""
    _warn("variance", "var")
    return operators.var(field, **kwargs)


def stddev(field: str, **kwargs: Any) -> AggDescriptor:
    """Deprecated: use `std`."""
    _warn("stddev", "std")
    return operators.std(field, **kwargs)


def count_distinct(field: str, **kwargs: Any) -> AggDescriptor:
    """Deprecated: use `n_unique`."""
    _warn("count_distinct", "n_unique")
    return operators.n_unique(field, **kwargs)


def percentile(field: str, *, p: float, **kwargs: Any) -> AggDescriptor:
    """Deprecated: use `quantile(q=...)`."""
    _warn("percentile", "quantile(q=...)")
    return operators.quantile(field, q=p, **kwargs)
