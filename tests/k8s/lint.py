"""Renders the Helm charts with both values files, validates every manifest against the schemas of
Kubernetes and of the operators' resources, and asserts what must hold for all of them; then that
charts broken on purpose are refused.

Usage: lint.py HELM CRD_DIRECTORY…   (make k8s-lint brings both)"""

import json
import sys
from pathlib import Path

import charts
import mutations
import network
import rules

ROOT = Path(__file__).resolve().parents[2] / "k8s"
VALUES = ("local", "production")


def check_document(document, schemas):
    try:
        charts.validate(document, schemas)
        if rules.pod_template(document):
            rules.check_pod(document)
    except charts.Broken as error:
        name = f"{document['kind']} {document['metadata']['name']}"
        raise charts.Broken(f"{name}: {error}") from error


def check_one_more_subscription(helm, root, values, rendered):
    rows = [*rules.table("subscriptions.tsv"), ("user-profile", "notification", "user.profilechanged")]
    more = json.dumps([{"source": source, "consumer": consumer, "types": types} for source, consumer, types in rows])
    after = charts.render(helm, root, "shop", values, "--set-json", f"subscriptions={more}")
    rules.check_one_more_subscription(rendered, after, "notification")


def check_values(helm, schemas, root, values):
    """Both charts with one values file. Returns the number of manifests."""
    documents = []
    for chart in charts.CHARTS:
        rendered = charts.render(helm, root, chart, values)
        for document in rendered:
            check_document(document, schemas)
        if chart == "shop":
            rules.check_shop(rendered)
            check_one_more_subscription(helm, root, values, rendered)
        else:
            rules.check_database(rendered, values)
        documents += rendered
    rules.check_secrets(documents)
    rules.check_connections(documents)
    network.check_network(documents)
    check_monitored(helm, schemas, root, values)
    return len(documents)


def check_monitored(helm, schemas, root, values):
    """Whatever of both charts is optional with monitoring, and its one namespace by another name."""
    monitored = ["--set", "monitoring.enabled=true,exporter.enabled=true,monitoring.namespace=watchers"]
    documents = [document for chart in charts.CHARTS for document in charts.render(helm, root, chart, values, *monitored)]
    for document in documents:
        check_document(document, schemas)
    rules.check_exporter(documents)
    rules.check_connections(documents)
    network.check_monitoring_namespace(documents, "watchers")


def main():
    helm, *directories = sys.argv[1:]
    schemas = charts.crd_schemas(directories)
    passed = 0

    def check(root):
        return sum(check_values(helm, schemas, root, values) for values in VALUES)

    try:
        for values in VALUES:
            for chart in charts.CHARTS:
                charts.lint(helm, ROOT, chart, values)
            count = check_values(helm, schemas, ROOT, values)
            passed += count
            print(f"values-{values}.yaml: {count} manifests are as they must be")
        refused = mutations.run(check, ROOT)
        passed += refused
        print(f"{refused} charts broken on purpose are refused")
    except charts.Broken as error:
        sys.exit(f"k8s-lint: {error}")
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
