"""Charts broken on purpose: each must be refused, for its reason. That shows that the checks check."""

import shutil
import tempfile
from pathlib import Path

from charts import Broken

# (file, what is there, what is put there, what the refusal says)
MUTATIONS = [
    ("shop/templates/_helpers.tpl", "runAsNonRoot: true", "runAsNonRoot: false", "runs as root"),
    ("shop/templates/_helpers.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false",
     "writable root"),
    ("shop/templates/_helpers.tpl", "livenessProbe:", "livenesProbe:", "livenesProbe"),
    ("shop/templates/gateway.yaml", "lifecycle: {preStop: {exec: {command: [sleep, \"5\"]}}}", "",
     "no preStop"),
    ("shop/values.yaml", 'tag: "0.1.0"', "tag: latest", "not pinned"),
    ("shop/templates/services.yaml", "  # replicas belong to the HorizontalPodAutoscaler", "  replicas: 2",
     "contend"),
    ("shop/templates/relay.yaml", "valueFrom: {secretKeyRef: {name: {{ include \"shop.webhookSecret\" (dict \"root\" $ \"source\" .source \"consumer\" .consumer) }}, key: secret}}",
     "value: whsec_plain", "plain value in OUTBOX_SUBSCRIPTION_SECRET"),
    ("shop/templates/_helpers.tpl", "value: {{ join \" \" $list | quote }}", "value: order=whsec_plain",
     "plain value in WEBHOOK_SECRETS"),
    ("shop/templates/_helpers.tpl", "\"source\" $source \"consumer\" $.name)", "\"source\" $source \"consumer\" $source)",
     "does not know what signs the events of"),
    ("shop/templates/webhook-secrets.yaml", "helm.sh/hook-delete-policy: hook-failed",
     "helm.sh/hook-delete-policy: before-hook-creation", "would be replaced"),
    ("database/templates/credentials.yaml", "helm.sh/hook: pre-install,pre-upgrade", "helm.sh/resource-policy: keep",
     "is part of the release"),
    ("shop/templates/relay.yaml", ",post-rollback", "", "outbox-subscribe is no"),
    ("shop/templates/gateway.yaml", "    spec:\n      serviceAccountName",
     "      annotations: {subscriptions: {{ len .Values.subscriptions | quote }}}\n    spec:\n      serviceAccountName",
     "restarts ['gateway', 'notification']"),
    ("shop/values.yaml", "types: \"price.changed\"", "types: \"price.*\"", "subscriptions differ"),
    ("shop/templates/migrations.yaml", "{{ $.Values.database.clientLabel }}: \"true\"", "",
     "auth-migrate can't reach postgres:5432"),
    ("shop/templates/network-policies.yaml", "app.kubernetes.io/name: outbox-relay}}", "app.kubernetes.io/name: relay}}",
     "outbox-relay can't reach billing:8002"),
    ("shop/templates/network-policies.yaml", "podSelector: {matchLabels: {app.kubernetes.io/name: gateway}}",
     "podSelector: {}", "intruder can reach"),
    ("database/templates/statefulset.yaml", "podSelector: {matchLabels: { {{- .Values.clientLabel }}: \"true\"}}",
     "podSelector: {}", "intruder can reach postgres:5432"),
    ("shop/values.yaml", "poolSize: 4", "poolSize: 14", "connections and"),
    ("shop/templates/ingress.yaml", "pathType: Prefix", "pathType: Prefix\n            path: /", "given twice"),
    ("database/templates/cloudnativepg.yaml", "  instances: {{", "  instance: {{", "instance"),
    ("database/templates/cloudnativepg.yaml", "inRoles: [outbox_reader, pg_monitor]",
     "inRoles: [outbox_operator, pg_monitor]", "role monitor may do other things"),
    ("database/values.yaml", "  price: {publishes: true}\n", "", "databases: [('price', True)]"),
    ("database/values.yaml", "postgres-exporter:v0.11.1", "postgres-exporter:v0.15.0", "has another postgres_exporter"),
    ("database/templates/exporter.yaml", "{targetLabel: job, replacement: postgres}",
     "{targetLabel: job, replacement: exporter}", "the exporter is job"),
    ("database/templates/exporter.yaml", "kubernetes.io/metadata.name: {{ .Values.monitoring.namespace }}",
     "kubernetes.io/metadata.name: monitoring", "metrics are open to ['monitoring']"),
    ("database/templates/exporter.yaml", "{{ .Values.clientLabel }}: \"true\"", "", "postgres-exporter can't reach postgres"),
    ("database/files/exporter/queries.yml", "outbox_subscription:", "outbox_subscriptions:", "asks something else"),
]


def refusal(check, root):
    try:
        check(root)
    except Broken as error:
        return str(error)
    return None


def run(check, root):
    """`check` is given the directory of the charts and raises Broken. Returns how many were refused."""
    for file, old, new, reason in MUTATIONS:
        with tempfile.TemporaryDirectory() as work:
            copy = Path(work) / "k8s"
            shutil.copytree(root, copy)  # links become files
            text = (copy / file).read_text(encoding="utf-8")
            if old not in text:
                raise Broken(f"mutation of {file}: there is no {old!r} any more")
            (copy / file).write_text(text.replace(old, new), encoding="utf-8")
            said = refusal(check, copy)
        if said is None or reason not in said:
            raise Broken(f"{file} with {new!r} for {old!r} must be refused with {reason!r}, but: {said}")
    return len(MUTATIONS)
