#!/usr/bin/env python3
"""Reads the interval logs of a run bundle with the Python HdrHistogram and compares them with result.json.

    pip install hdrhistogram    # as scripts/install-test-tools does
    covet-bench run http://127.0.0.1:8080/ -R 2000 --out bundle
    scripts/check-hlog.py bundle

With HDR_JAVA=/path/to/HdrHistogram.jar the Java reader has to agree as well.
"""

import glob
import json
import math
import os
import re
import subprocess
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader


def java_count(jar, path, tag):
    command = ["java", "-cp", jar, "org.HdrHistogram.HistogramLogProcessor", "-i", path, "-tag", tag, "-outputValueUnitRatio", "1"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"Total count\s*=\s*(\d+)", out)[-1])


folder = sys.argv[1]
runs = json.load(open(os.path.join(folder, "result.json")))["runs"]
checked = 0
for path in sorted(glob.glob(os.path.join(folder, "*.hlog"))):
    number, series, _ = os.path.basename(path).split(".")
    total = HdrHistogram(1, 3_600_000_000_000, 3)
    reader = HistogramLogReader(path, total)
    intervals = 0
    while (interval := reader.get_next_interval_histogram()) is not None:
        total.add(interval)
        intervals += 1
    want = runs[int(number.removeprefix("run-")) - 1][series]
    buckets = [(item.value_iterated_to, item.count_added_in_this_iter_step) for item in total.get_recorded_iterator()]
    for name, value in want["quantiles_ns"].items():
        # Python's own quantile rounds the rank to the nearest, ours up to the next.
        rank, seen = max(1, math.ceil(round(float(name[1:]) / 100 * total.get_total_count(), 6))), 0
        for bucket, count in buckets:
            seen += count
            if seen >= rank:
                break
        assert bucket == value, (path, name, bucket, value)
    assert total.get_total_count() == want["count"], (path, total.get_total_count(), want["count"])
    if jar := os.environ.get("HDR_JAVA"):
        # Java's tool reads one tag at a time, and ends with [Max = ..., Total count = N].
        count = sum(java_count(jar, path, tag) for tag in {line[4:].split(",")[0] for line in open(path) if line.startswith("Tag=")})
        assert count == want["count"], (path, count, want["count"])
    checked += 1
    print(f"{path}: {intervals} intervals, {total.get_total_count()} values" + (", as Java reads it" if jar else ""))
assert checked, "no log"
