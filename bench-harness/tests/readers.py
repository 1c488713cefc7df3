"""What others read in our outputs: schemas by jsonschema, OpenMetrics and OTLP by the parsers of those who defined them.

    readers.py SCHEMAS BUNDLE OPENMETRICS OTLP
"""

import copy
import json
import math
import pathlib
import sys

from google.protobuf.json_format import Parse
from jsonschema import Draft202012Validator
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

schemas, bundle, openmetrics, otlp = map(pathlib.Path, sys.argv[1:])


def alike(some, others):
    """Equal but for the last digit of a number that was read and written again."""
    return len(some) == len(others) and all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(some, others))


def schema(name):
    return Draft202012Validator(json.loads((schemas / f"{name}.json").read_text()))


for path in schemas.glob("*.json"):
    Draft202012Validator.check_schema(json.loads(path.read_text()))
result = json.loads((bundle / "result.json").read_text())
schema("result-1").validate(result)
schema("manifest-1").validate(json.loads((bundle / "manifest.json").read_text()))
runs = result["runs"]
for run in runs:
    schema("run-1").validate(run)
    wrong = copy.deepcopy(run)
    wrong["response"]["count"] = "many"
    assert not schema("run-1").is_valid(wrong)

families = {family.name: family for family in text_string_to_metric_families(openmetrics.read_text())}
rates = [sample.value for sample in families["covet_bench_rate"].samples]
assert alike(rates, [run["rate"] for run in runs]), rates
completed = [s.value for s in families["covet_bench_requests"].samples if s.labels["outcome"] == "completed"]
assert completed == [run["requests"]["completed"] for run in runs], completed
outcomes = {s.labels["outcome"] for s in families["covet_bench_requests"].samples}
assert "max_queued" not in outcomes and {"sent", "failed"} <= outcomes, outcomes
most = [s.value for s in families["covet_bench_max_queued"].samples]
assert most == [run["requests"]["max_queued"] for run in runs], most
for clock in ["response", "service", "lateness"]:
    family = families[f"covet_bench_{clock}_seconds"]
    assert (family.type, family.unit) == ("histogram", "seconds")
    whole = [s.value for s in family.samples if s.name.endswith("_bucket") and s.labels["le"] == "+Inf"]
    assert whole == [run[clock]["count"] for run in runs], (clock, whole)

request = Parse(otlp.read_text(), ExportMetricsServiceRequest())
[resource] = request.resource_metrics
[scope] = resource.scope_metrics
metrics = {metric.name: metric for metric in scope.metrics}
assert alike([point.as_double for point in metrics["covet_bench.rate"].gauge.data_points], rates)
assert [point.as_double for point in metrics["covet_bench.max_queued"].gauge.data_points] == most
assert metrics["covet_bench.requests"].sum.is_monotonic
for clock in ["response", "service", "lateness"]:
    points = metrics[f"covet_bench.{clock}"].histogram.data_points
    assert len(points) == len(runs)
    for point, run in zip(points, runs):
        assert point.count == sum(point.bucket_counts) == run[clock]["count"], clock
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        assert list(point.explicit_bounds) == sorted(point.explicit_bounds)
        assert point.start_time_unix_nano < point.time_unix_nano and point.min <= point.max
print(f"{len(runs)} runs agree")
