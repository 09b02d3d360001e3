"""Which metrics there are."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"

_DECLARED = re.compile(r'\bmetric_(counter|gauge|histogram)\(\s*"(\w+)"')


def of_our_code():
    """Those that the C sources declare, as they are exposed."""
    names = set()
    for folder in ("shared", "services", "outbox-relay"):
        for path in (ROOT / folder).rglob("*.c"):
            for kind, name in _DECLARED.findall(path.read_text(encoding="utf-8")):
                suffixes = {"counter": ["_total"], "gauge": [""],
                            "histogram": ["_bucket", "_sum", "_count"]}[kind]
                names.update(name + suffix for suffix in suffixes)
    return names


def of_our_queries():
    """Those that postgres_exporter makes of queries.yml."""
    queries = yaml.safe_load((MONITORING / "postgres-exporter/queries.yml").read_text("utf-8"))
    return {f"{namespace}_{column}" for namespace, query in queries.items()
            for metric in query["metrics"] for column, about in metric.items()
            if about["usage"] != "LABEL"}


def rules():
    """Every rule of monitoring/rules/, alerts and records."""
    return [rule for path in sorted((MONITORING / "rules").glob("*.yml"))
            for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
            for rule in group["rules"]]


def of_our_rules():
    return {rule["record"] for rule in rules() if "record" in rule}


def of_exporters(elsewhere=True):
    """Those listed in exporter-metrics.txt; without `elsewhere`, those a local stack has."""
    text = (MONITORING / "exporter-metrics.txt").read_text(encoding="utf-8")
    if not elsewhere:
        text = text.partition("# elsewhere")[0]
    return {line for line in text.splitlines() if line and not line.startswith("#")}
