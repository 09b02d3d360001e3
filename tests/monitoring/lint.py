"""Checks monitoring/ without starting anything: the tools' own checks of the configurations, the rules'
unit tests, and that rules, dashboards and runbooks fit each other and the code. (make monitoring-lint)

Grafana is in no package of Debian's, so the dashboards are read by what is known of its format; their
queries are tried for real by make monitoring-test."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import dashboards
import metrics
import promql
import yaml

ROOT = metrics.ROOT
MONITORING = metrics.MONITORING
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["## Symptom", "## Meaning", "## First look", "## Fix", "## Over when"]
UNITS = {"short", "s", "bytes", "Bps", "ops", "reqps", "percentunit"}
PANELS = {"row", "timeseries", "stat", "table", "state-timeline"}

findings = []


def check(holds, finding):
    if not holds:
        findings.append(finding)


def run(*command, **environment):
    """Runs a tool; its output is a finding when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})
    check(done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def check_configurations(scratch):
    run("promtool", "check", "config", str(MONITORING / "prometheus.yml"))
    run("promtool", "check", "rules", *map(str, sorted((MONITORING / "rules").glob("*.yml"))))
    run("promtool", "test", "rules",
        *map(str, sorted((ROOT / "tests/monitoring/rules").glob("*.yml"))))

    token = scratch / "token"
    token.write_text("123456:a-token_of-nobody")
    telegram = {"TELEGRAM_CHAT_ID": "-100123", "TELEGRAM_BOT_TOKEN_FILE": str(token)}
    webhook = {"ALERT_WEBHOOK_URL": "http://127.0.0.1:1/hook?a=1&b=2"}
    for number, environment in enumerate([{}, telegram, webhook, {**telegram, **webhook}]):
        rendered = scratch / f"alertmanager-{number}.yml"
        rendered.write_text(run(str(MONITORING / "alertmanager/render"), **environment))
        run("amtool", "check-config", str(rendered))


def services():
    """Each service of the shop and its port."""
    lines = (ROOT / "deploy/services.tsv").read_text(encoding="utf-8").splitlines()
    return {name: port for name, port, _ in
            (line.split("\t") for line in lines if line and not line.startswith("#"))}


def check_targets():
    """Compose's targets are the services of the shop, with their ports."""
    entries = yaml.safe_load((MONITORING / "targets/compose/shop.yml").read_text("utf-8"))
    listed = {entry["labels"]["service"]: entry["targets"] for entry in entries}
    listed.pop("outbox-relay", None)
    check(listed == {name: [f"{name}:{port}"] for name, port in services().items()},
          "targets/compose/shop.yml and deploy/services.tsv differ")


def check_missing_services():
    """The alert asks for every part of the shop by name."""
    [expression] = [rule["expr"] for rule in metrics.rules() if rule.get("alert") == "ServiceMissing"]
    asked = set(re.findall(r'absent\(up\{job="outbox-shop", service="([^"]+)"\}\)', expression))
    wanted = set(services()) | {"outbox-relay"}
    check(asked == wanted, f"ServiceMissing and deploy/services.tsv differ: {sorted(asked ^ wanted)}")


def check_alerts(known):
    tested = {test["alertname"] for path in (ROOT / "tests/monitoring/rules").glob("*.yml")
              for case in yaml.safe_load(path.read_text("utf-8"))["tests"]
              for test in case.get("alert_rule_test", []) if test["exp_alerts"]}
    documented = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    names = set()
    for rule in metrics.rules():
        name = rule.get("alert") or rule["record"]
        unknown = promql.metric_names(rule["expr"]) - known
        check(not unknown, f"{name} reads unknown metrics: {sorted(unknown)}")
        if "alert" not in rule:
            continue
        check(name not in names, f"{name} is there twice")
        names.add(name)
        check(rule["labels"].get("severity") in ("warning", "critical"), f"{name} has no severity")
        annotations = rule["annotations"]
        check(set(annotations) == {"summary", "description", "runbook_url"},
              f"{name} has the annotations {sorted(annotations)}")
        check(annotations.get("runbook_url") == f"docs/runbooks/{name}.md",
              f"{name} has another's runbook")
        check(name in tested, f"{name} has no unit test in which it fires")
    check(names == documented, f"alerts without runbook, or the reverse: {names ^ documented}")


def check_runbooks():
    for path in RUNBOOKS.glob("*.md"):
        if path.stem == "README":
            continue
        text = path.read_text(encoding="utf-8")
        headings = [line for line in text.splitlines() if line.startswith("## ")]
        check(headings == SECTIONS, f"{path.name} has the sections {headings}, not {SECTIONS}")
        check(text.startswith(f"# {path.stem}\n"), f"{path.name} has another title")
        check("```" in text, f"{path.name} has no command to type")


def check_panel(board, panel):
    where = f"{board.path.name}: {panel.get('title')}"
    check(panel["type"] in PANELS, f"{where}: no panel type of ours: {panel['type']}")
    place = panel["gridPos"]
    check(place["x"] + place["w"] <= 24, f"{where} reaches beyond the 24 columns")
    if panel["type"] == "row":
        return
    check(panel.get("description"), f"{where} has no description")
    check(panel["datasource"]["uid"] == "${datasource}", f"{where} has a data source of its own")
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    check(unit in UNITS, f"{where}: unknown unit {unit}")
    references = [target["refId"] for target in panel["targets"]]
    check(len(references) == len(set(references)), f"{where}: a refId is there twice")


def overlap(one, other):
    return (one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
            and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"])


def check_layout(board):
    places = [(panel["title"], panel["gridPos"]) for panel in board.json["panels"]]
    for index, (title, place) in enumerate(places):
        for other_title, other in places[index + 1:]:
            check(not overlap(place, other), f"{board.path.name}: {title} and {other_title} overlap")
    numbers = [panel["id"] for panel in board.panels]
    check(len(numbers) == len(set(numbers)), f"{board.path.name}: a panel id is there twice")


def check_dashboards(known, scratch):
    boards = dashboards.every_dashboard()
    check(len({board.json["uid"] for board in boards}) == len(boards), "a uid is there twice")
    expressions = []
    for board in boards:
        for panel in board.panels:
            check_panel(board, panel)
        check_layout(board)
        queries = board.panel_queries() + board.variable_queries() + board.annotation_queries()
        for query in queries:
            try:
                expression = board.filled(query)
            except KeyError as error:
                check(False, f"{query.where}: {error}")
                continue
            unknown = promql.metric_names(expression) - known
            check(not unknown, f"{query.where} reads unknown metrics: {sorted(unknown)}")
            expressions.append(expression)
        text = board.path.read_text(encoding="utf-8")
        for variable in board.variables:
            check(re.search(rf"\${variable['name']}\b|\${{{variable['name']}}}", text),
                  f"{board.path.name}: variable {variable['name']} is not used")
    # promtool 2.42 parses no lone expression, but it parses rules.
    rules = [{"record": f"lint:{number}", "expr": text} for number, text in enumerate(expressions)]
    file = scratch / "dashboards.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    run("promtool", "check", "rules", str(file))
    return len(expressions)


def main():
    known = (metrics.of_our_code() | metrics.of_our_queries() | metrics.of_our_rules()
             | metrics.of_exporters())
    with tempfile.TemporaryDirectory(prefix="monitoring-lint-") as scratch:
        check_configurations(Path(scratch))
        check_targets()
        check_missing_services()
        check_alerts(known)
        check_runbooks()
        queries = check_dashboards(known, Path(scratch))
    for finding in findings:
        print(f"monitoring: {finding}", file=sys.stderr)
    if findings:
        sys.exit(1)
    print(f"monitoring: {len(metrics.rules())} rules and {queries} queries of dashboards are fine")


if __name__ == "__main__":
    main()
