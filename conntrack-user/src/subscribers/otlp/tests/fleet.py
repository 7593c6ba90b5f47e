"""Takes requests of OTLP, and runs the queries of docs/fleet.md over them.

fleet.py DIRECTORY docs/fleet.md: *.metrics and *.logs in DIRECTORY are requests. Prints one
JSON object. See fleet.rs beside it.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from chdb import session
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


def value(any_value):
    """A value as the collector's exporter for ClickHouse has it."""
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in any_value.array_value.values]
    if kind == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    return getattr(any_value, kind)


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def texts(values):
    return {
        key: one if isinstance(one, str) else json.dumps(one) for key, one in values.items()
    }


def blocks(documentation, language):
    """The title before each block of code, and the block."""
    pattern = rf"^### (.+?)\n(?:(?!^###).)*?^```{language}\n(.*?)^```"
    return re.findall(pattern, documentation, re.M | re.S)


def log_rows(directory):
    rows = []
    for file in sorted(directory.glob("*.logs")):
        request = ExportLogsServiceRequest.FromString(file.read_bytes())
        for of in request.resource_logs:
            resource = texts(attributes(of.resource.attributes))
            assert resource["host.name"] and len(resource["host.id"]) == 32
            for scope in of.scope_logs:
                for record in scope.log_records:
                    rows.append(
                        {
                            "Timestamp": record.time_unix_nano / 1e9,
                            "SeverityText": record.severity_text,
                            "ServiceName": resource["service.name"],
                            "Body": record.body.string_value,
                            "ResourceAttributes": resource,
                            "LogAttributes": texts(attributes(record.attributes)),
                        }
                    )
    return rows


def run_sql(documentation, rows, directory):
    database = session.Session(str(directory / "chdb"))
    titled = blocks(documentation, "sql")
    for title, text in titled:
        if "CREATE" in text:
            for statement in filter(str.strip, text.split(";")):
                database.query(statement)
    lines = "\n".join(json.dumps(row) for row in rows)
    # Twice: a receiver may get a request again.
    for _ in range(2):
        database.query(f"INSERT INTO otel_logs FORMAT JSONEachRow {lines}")
    count = database.query("SELECT count() AS n FROM ctdrop_incidents FINAL", "JSONEachRow")
    answers = []
    for title, text in titled:
        if "CREATE" not in text:
            answer = str(database.query(text.strip().rstrip(";"), "JSONEachRow"))
            answers.append({"title": title, "rows": [json.loads(one) for one in answer.splitlines()]})
    return int(json.loads(str(count))["n"]), answers


def samples(directory):
    """Lines of OpenMetrics with times: counters grow from 0, over the last hour."""
    families = {}
    now = int(time.time())
    steps = range(60)
    for file in sorted(directory.glob("*.metrics")):
        request = ExportMetricsServiceRequest.FromString(file.read_bytes())
        for of in request.resource_metrics:
            instance = attributes(of.resource.attributes)["host.name"]
            for metric in of.scope_metrics[0].metrics:
                is_counter = metric.HasField("sum")
                data = metric.sum if is_counter else metric.gauge
                assert not is_counter or (data.is_monotonic and data.aggregation_temporality == 2)
                kind, lines = families.setdefault(
                    metric.name, ("counter" if is_counter else "gauge", [])
                )
                for point in data.data_points:
                    labels = attributes(point.attributes) | {"instance": instance, "job": "ctdrop"}
                    shown = ",".join(f"{key}={json.dumps(one)}" for key, one in labels.items())
                    number = point.as_int if point.HasField("as_int") else point.as_double
                    for step in steps:
                        at = now - 60 * (len(steps) - step)
                        part = number * step / (len(steps) - 1) if is_counter else number
                        end = "_total" if is_counter else ""
                        lines.append(f"{metric.name}{end}{{{shown}}} {part} {at}")
    for name, (kind, lines) in sorted(families.items()):
        yield f"# TYPE {name} {kind}"
        yield from lines
    yield "# EOF"


def run_promql(documentation, directory):
    if not shutil.which("prometheus"):
        sys.exit("no program prometheus: apt install prometheus")
    text = directory / "samples"
    text.write_text("\n".join(samples(directory)) + "\n")
    data = directory / "data"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = directory / "prometheus.yml"
    settings.write_text("{}\n")
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={settings}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://{address}/-/ready")
        answers = []
        for title, query in blocks(documentation, "promql"):
            asked = urllib.parse.urlencode({"query": query.strip(), "time": time.time() - 60})
            with urllib.request.urlopen(f"http://{address}/api/v1/query?{asked}") as answer:
                result = json.load(answer)
            assert result["status"] == "success", (query, result)
            answers.append({"title": title, "rows": result["data"]["result"]})
        return answers
    finally:
        server.kill()
        server.wait()


def wait_for(address):
    for _ in range(600):
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{address} does not answer")


def main():
    directory, documentation = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
    rows = log_rows(directory)
    with tempfile.TemporaryDirectory() as scratch:
        count, sql = run_sql(documentation, rows, pathlib.Path(scratch))
    answer = {"records": len(rows), "rows": count, "sql": sql}
    answer["promql"] = run_promql(documentation, directory)
    print(json.dumps(answer))


main()
