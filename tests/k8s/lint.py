"""Renders the Helm charts with both values files, validates every manifest against the schemas of
Kubernetes and of the operators' resources, and asserts what must hold for all of them.

Usage: lint.py HELM CRD_DIRECTORY…   (make k8s-lint brings both)"""

import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = "1.30"
CHARTS = ("database", "shop")
VALUES = ("local", "production")
NATIVE_GROUPS = ("v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")


class Loader(yaml.SafeLoader):
    """YAML 1.1 has a type for a lone =, which the operators' enums use as text."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def render(helm, chart, values):
    file = ROOT / "k8s" / f"values-{values}.yaml"
    chart_directory = ROOT / "k8s" / chart
    run(helm, "lint", "--strict", str(chart_directory), "-f", str(file), "--kube-version", KUBERNETES)
    text = run(helm, "template", "shop", str(chart_directory), "-f", str(file), "-n", "shop",
               "--kube-version", KUBERNETES)
    return [document for document in yaml.safe_load_all(text) if document]


def crd_schemas(directories):
    """Schemas of custom resources by (group/version, kind), from their definitions."""
    schemas = {}
    for file in (file for directory in directories for file in Path(directory).glob("*.yaml")):
        definition = yaml.load(file.read_text(encoding="utf-8"), Loader)
        if not definition or definition.get("kind") != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            schemas[key] = closed(version["schema"]["openAPIV3Schema"])
    return schemas


def closed(schema):
    """As the API server prunes them, unknown members are mistakes here. Patterns are Go's: one that
    Python can't read is left out."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            try:
                re.compile(schema["pattern"])
            except re.error:
                del schema["pattern"]
        for value in schema.values():
            closed(value)
        if "properties" in schema and "additionalProperties" not in schema \
                and not schema.get("x-kubernetes-preserve-unknown-fields"):
            if schema["properties"].get("metadata") != {"type": "object"} or "spec" not in schema[
                    "properties"]:
                schema["additionalProperties"] = False
    elif isinstance(schema, list):
        for value in schema:
            closed(value)
    return schema


def validate(document, schemas):
    key = (document["apiVersion"], document["kind"])
    if key[0] in NATIVE_GROUPS:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    else:
        jsonschema.validate(document, schemas[key])


def pod_spec(document):
    if document["kind"] in ("Deployment", "StatefulSet", "Job"):
        return document["spec"]["template"]["spec"]
    return None


def check_pod(document, pod):
    """What the restricted Pod Security Standard asks, and more."""
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True and security["runAsUser"] > 0, "runs as root"
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}, "no seccomp profile"
    assert pod["automountServiceAccountToken"] is False, "mounts a service account token"
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, "may escalate privileges"
        assert own["readOnlyRootFilesystem"] is True, "root file system is writable"
        assert own["capabilities"] == {"drop": ["ALL"]}, "keeps capabilities"
        tag = container["image"].rpartition(":")[2]
        assert "/" not in tag and tag != "latest" and any(c.isdigit() for c in tag), \
            f"image {container['image']} is not pinned"
        resources = container["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory"}, "no requests"
        assert "memory" in resources["limits"], "no memory limit"
        for variable in container.get("env", []):
            if "PASSWORD" in variable["name"] and not variable["name"].endswith("_FILE") \
                    or "SECRET" in variable["name"] and not variable["name"].endswith("_DIR"):
                assert "valueFrom" in variable, f"{variable['name']} is a plain value"
        if document["kind"] != "Job":
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert probe in container, f"no {probe}"
    if document["kind"] == "Deployment":
        assert all("preStop" in c["lifecycle"] for c in pod["containers"]), "no preStop"
        assert len(pod["topologySpreadConstraints"]) == 2, "is not spread"


def check_set(chart, documents):
    """What must be there for each workload."""
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], {})[document["metadata"]["name"]] = document
    if chart == "database":
        return
    services = {line.split("\t")[0]: line.split("\t")[1]
                for line in (ROOT / "deploy/services.tsv").read_text(encoding="utf-8").splitlines()
                if line and not line.startswith("#")}
    workloads = {*services, "gateway", "outbox-relay"}
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"):
        assert set(by_kind[kind]) == workloads, f"{kind}: {sorted(by_kind[kind])}"
    assert set(by_kind["HorizontalPodAutoscaler"]) == workloads - {"outbox-relay"}
    assert by_kind["Deployment"]["outbox-relay"]["spec"]["replicas"] >= 2, "no standby relay"
    assert workloads <= set(by_kind["NetworkPolicy"]), "a workload without network policy"
    deny = by_kind["NetworkPolicy"]["default-deny"]["spec"]
    assert "ingress" not in deny and "egress" not in deny, "default-deny allows something"
    for service, port in services.items():
        assert by_kind["Service"][service]["spec"]["ports"][0]["port"] == int(port), service
        annotations = by_kind["Job"][f"{service}-migrate"]["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade", service
    check_subscriptions(by_kind["Job"]["outbox-subscribe"])
    rules = by_kind["Ingress"]["gateway"]["spec"]["rules"]
    assert rules[0]["host"] == "arch.homework"
    assert rules[0]["http"]["paths"][0]["path"] == "/otusapp/alapitskii"


def check_subscriptions(job):
    """The chart subscribes what deploy/subscriptions.tsv says."""
    wanted = {tuple(line.split("\t"))
              for line in (ROOT / "deploy/subscriptions.tsv").read_text(encoding="utf-8").splitlines()
              if line and not line.startswith("#")}
    got = set()
    for container in job["spec"]["template"]["spec"]["containers"]:
        consumer = container["args"][1]
        source = container["name"].removesuffix(f"-{consumer}")
        types = [word.partition("=")[2] for word in container["args"] if word.startswith("--types=")]
        got.add((source, consumer, types[0]))
    assert got == wanted, f"subscriptions differ: {got ^ wanted}"


def main():
    helm, *directories = sys.argv[1:]
    schemas = crd_schemas(directories)
    passed = 0
    for values in VALUES:
        for chart in CHARTS:
            documents = render(helm, chart, values)
            for document in documents:
                name = f"{chart} ({values}): {document['kind']} {document['metadata']['name']}"
                try:
                    validate(document, schemas)
                    if pod_spec(document):
                        check_pod(document, pod_spec(document))
                except (AssertionError, KeyError, jsonschema.ValidationError,
                        kubernetes_validate.ValidationError) as error:
                    sys.exit(f"{name}: {type(error).__name__}: {getattr(error, 'message', error)}")
                passed += 1
            check_set(chart, documents)
            print(f"{chart} with values-{values}.yaml: {len(documents)} manifests are valid")
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
