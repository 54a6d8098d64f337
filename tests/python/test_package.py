# SPDX-License-Identifier: Apache-2.0
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import beava as bv
import pytest
from beava import _version

ROOT = Path(__file__).resolve().parents[2]

PUBLISHED = [
    "App",
    "RegistrationError",
    "BinaryNotFoundError",
    "ValidationError",
    "col",
    "lit",
    "event",
    "table",
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "var",
    "std",
    "ratio",
    "n_unique",
    "quantile",
    "top_k",
    "bloom_member",
    "entropy",
    "first",
    "last",
    "first_n",
    "last_n",
    "lag",
    "first_seen",
    "last_seen",
    "age",
    "has_seen",
    "time_since",
    "time_since_last_n",
    "streak",
    "max_streak",
    "negative_streak",
    "first_seen_in_window",
    "ewma",
    "ema",
    "ewvar",
    "ew_zscore",
    "decayed_sum",
    "decayed_count",
    "twa",
    "rate_of_change",
    "inter_arrival_stats",
    "burst_count",
    "delta_from_prev",
    "trend",
    "trend_residual",
    "outlier_count",
    "value_change_count",
    "z_score",
    "histogram",
    "hour_of_day_histogram",
    "dow_hour_histogram",
    "seasonal_deviation",
    "event_type_mix",
    "most_recent_n",
    "reservoir_sample",
    "geo_velocity",
    "geo_distance",
    "geo_spread",
    "distance_from_home",
    "avg",
    "variance",
    "stddev",
    "count_distinct",
    "percentile",
]

# python-sdk.md 19, for what exists.
PRIVATE = {
    "_app": "App _to_register_json _descriptor_to_node make_transport",
    "_agg": "AggDescriptor count percentile",
    "_col": "_Expr _Col _Literal _BinOp _UnaryOp _CastOp col lit",
    "_events": "EventSource EventDerivation GroupBy event",
    "_table": "TableDescriptor table",
    "_errors": "RegistrationError ValidationError BinaryNotFoundError VALIDATION_ERROR_KINDS",
    "_transport": "Transport HttpTransport TcpTransport EmbedTransport make_transport "
    "parse_url_to_transport",
    "_wire": "encode_frame decode_frame read_frame parse_register_response Frame FrameTooLarge "
    "IncompleteFrame",
    "_embed": "discover_binary spawn_embedded_server teardown_process BinaryNotFoundError shutil",
    "_cli": "main os discover_binary",
    "test": "fixture replay assert_features_eq MockApp",
    "cli": "main",
}


def run(code):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_published_names_come_first_in_their_order():
    assert bv.__all__[: len(PUBLISHED)] == PUBLISHED
    for name in bv.__all__:
        assert hasattr(bv, name)


@pytest.mark.parametrize(
    "name", ["join", "union", "fork", "session", "Optional", "Field", "AggDescriptor", "GroupBy"]
)
def test_names_absent_on_purpose(name):
    with pytest.raises(AttributeError, match=name):
        getattr(bv, name)


@pytest.mark.parametrize("name", ["upsert", "delete", "retract"])
def test_methods_absent_on_purpose(name):
    assert not hasattr(bv.App, name)


@pytest.mark.parametrize("module", ["_schema", "_validate", "_eval_reference", "_tables"])
def test_modules_absent_on_purpose(module):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"beava.{module}")


@pytest.mark.parametrize("module", PRIVATE)
def test_private_names_stay_importable(module):
    imported = importlib.import_module(f"beava.{module}")
    for name in PRIVATE[module].split():
        assert hasattr(imported, name)


def test_import_is_light():
    loaded = run("import beava, sys; print(*sys.modules)").split()
    for module in ("httpx", "numpy", "pandas", "cffi", "asyncio", "beava.test", "beava.cli"):
        assert module not in loaded


def test_import_takes_under_100_ms():
    # Processor time, and the best of a few: the machine has other things to do as well.
    code = "import time; t = time.process_time(); import beava; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(5)) < 0.1


def test_star_import_gives_the_public_names():
    out = run("from beava import *; print(sum.__module__, App.__name__, table.__name__)")
    assert out == "beava.operators App table\n"


def test_the_version_is_that_of_pyproject():
    project = (ROOT / "pyproject.toml").read_text()
    assert bv.__version__ == re.search(r'^version = "(.*)"', project, re.M)[1]


def test_an_installed_package_asks_its_metadata(monkeypatch, tmp_path):
    monkeypatch.setattr(_version, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 9.9")
    assert _version.version() == "beava 9.9"


def test_types_are_shipped():
    assert (ROOT / "python" / "beava" / "py.typed").exists()


def test_every_module_has_a_test():
    package = ROOT / "python" / "beava"
    tests = Path(__file__).parent
    # Tested under the name of what they are a part of.
    within = {
        "_agg": "operators",
        "_codec_py": "codec",
        "_descriptor": "operators",
        "_log": "embed",
        "_transport_base": "transport",
        "_version": "package",
        "__init__": "package",
        "__main__": "cli",
    }
    for module in package.glob("*.py"):
        name = within.get(module.stem, module.stem.lstrip("_"))
        assert (tests / f"test_{name}.py").exists(), module.name


def test_docstring_examples_run():
    import doctest

    from beava import _app, _engine, _events, _table

    for module in (_app, _engine, _events, _table):
        result = doctest.testmod(module)
        assert result.failed == 0
        assert result.attempted > 0
