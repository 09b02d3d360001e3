"""Rendering the Helm charts, and validating what comes out against the schemas of Kubernetes and of
the operators' resources."""

import re
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.30"
CHARTS = {"database": "shop-database", "shop": "shop"}  # with their releases, as k8s/install.sh names them
NATIVE_GROUPS = ("v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")


class Broken(Exception):
    """A chart does not render, or a manifest is not what it must be."""


class Loader(yaml.SafeLoader):
    """YAML 1.1 has a type for a lone =, which the operators' enums use as text."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


class UniqueLoader(Loader):
    """A key given twice is a mistake that the API server does not see: the last one wins."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise Broken(f"given twice in a mapping: {', '.join(map(str, twice))}")
        return super().construct_mapping(node, deep)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def lint(helm, root, chart, values):
    run(helm, "lint", "--strict", str(root / chart), "-f", str(root / f"values-{values}.yaml"),
        "--kube-version", KUBERNETES)


def render(helm, root, chart, values, *arguments):
    text = run(helm, "template", CHARTS[chart], str(root / chart), "-f", str(root / f"values-{values}.yaml"),
               "-n", "shop", "--kube-version", KUBERNETES, *arguments)
    return [document for document in yaml.load_all(text, UniqueLoader) if document]


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
    try:
        if key[0] in NATIVE_GROUPS:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        elif key in schemas:
            jsonschema.validate(document, schemas[key])
        else:
            raise Broken(f"{key[0]} {key[1]} has no schema")
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        raise Broken(getattr(error, "message", str(error))) from error
