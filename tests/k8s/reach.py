"""Tries who can reach whom in the running cluster: every pod opens a connection to every port of every other;
the outcome has to be what network.py computes from nothing but deploy/*.tsv.

Needs KUBECTL and the context of the cluster. The pods of strangers.yaml must run."""

import concurrent.futures
import json
import os
import subprocess
import sys

import network
import rules

SECONDS = 3
# Bash alone: the images have no other client. A policy drops, so that a refusal takes its time.
PROBE = """for target; do
    (timeout {seconds} bash -c "</dev/tcp/${{target%:*}}/${{target#*:}}" 2>/dev/null && echo "$target") &
done; wait"""


def kubectl(*arguments):
    return subprocess.run((os.environ["KUBECTL"], *arguments), check=True, capture_output=True, text=True).stdout


class Pod:
    """A running pod by the name that network.py gives its workload."""

    def __init__(self, manifest):
        labels = manifest["metadata"].get("labels", {})
        self.name = manifest["metadata"]["name"]
        self.namespace = manifest["metadata"]["namespace"]
        self.role = {"kube-dns": "dns"}.get(labels.get("k8s-app")) or {
            "ingress-nginx": "ingress"}.get(self.namespace) or labels.get("app.kubernetes.io/name", self.name)
        self.address = manifest["status"]["podIP"]

    def reached(self, targets):
        said = kubectl("-n", self.namespace, "exec", self.name, "--", "bash", "-c",
                       PROBE.format(seconds=SECONDS), "bash", *targets)
        return said.split()


def ports():
    """The ports that listen, by role."""
    listening = {service: [int(port)] for service, port, *_ in rules.table("services.tsv")}
    return {**listening, "outbox-relay": [8010], "gateway": [8080], "postgres": [5432], network.EXPORTER: [9187],
            "dns": [53]}


def running_pods():
    items = [item for namespace in ("shop", "default", "monitoring", "ingress-nginx", "kube-system")
             for item in json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]]
    pods = [Pod(item) for item in items if item["status"]["phase"] == "Running"]
    known = {*ports(), "ingress", "intruder", "stranger", "prometheus"}
    return [pod for pod in pods if pod.role in known]


def try_all(pods):
    """Every (pod, pod, port), and those of them that are open."""
    targets = {f"{pod.address}:{port}": (pod, port) for pod in pods for port in ports().get(pod.role, [])}

    def ways(source):
        return {(source, *targets[target]) for target in source.reached(targets)}

    # The name server's image is the test's own, and no policy is over it. A pod may always reach itself.
    sources = [pod for pod in pods if pod.role != "dns"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = set().union(*pool.map(ways, sources))
    tried = {(source, *target) for source in sources for target in targets.values() if source is not target[0]}
    return tried, found & tried


def main():
    tried, found = try_all(running_pods())
    meant = network.meant_ways([{"kind": "Deployment", "metadata": {"name": network.EXPORTER}}])
    # Outside the shop's namespace nothing limits who asks the name server.
    meant |= {(role, "dns", 53) for role in ("ingress", "stranger", "prometheus")}
    wrong = [way for way in tried if (way in found) != ((way[0].role, way[1].role, way[2]) in meant)]
    for a, b, port in wrong:
        can = "can" if (a, b, port) in found else "can't"
        print(f"    {a.name} {can} reach {b.name}:{port}")
    print(f"    {len(tried)} ways tried, {len(found)} are open")
    sys.exit(bool(wrong) or not found)


if __name__ == "__main__":
    main()
