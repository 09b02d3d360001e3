"""Who can talk to whom: the NetworkPolicies evaluated over all pods, compared with what is meant."""

from charts import Broken
from rules import named, pod_template, table

NAMESPACE = "shop"
EXPORTER = "postgres-exporter"


class Pod:
    """One pod of each workload; `ports`: number by name."""

    def __init__(self, name, labels, namespace=NAMESPACE, ports=None):
        self.name, self.labels, self.namespace = name, labels, namespace
        self.ports = ports or {}


def pods_of(documents):
    """Those of the charts, and those in other namespaces that matter."""
    pods = []
    for document in documents:
        template = pod_template(document)
        if template:
            ports = {port["name"]: port["containerPort"]
                     for container in template["spec"]["containers"]
                     for port in container.get("ports", [])}
            pods.append(Pod(document["metadata"]["name"], template["metadata"]["labels"], ports=ports))
    if named(documents, "Cluster"):
        pods.append(Pod("postgres", {"cnpg.io/cluster": "shop-database"},
                        ports={"postgresql": 5432, "status": 8000, "metrics": 9187}))
    return pods + [
        Pod("dns", {"k8s-app": "kube-dns"}, "kube-system", {"dns": 53}),
        Pod("ingress", {}, "ingress-nginx"),
        Pod("prometheus", {}, "monitoring"),
        Pod("operator", {"app.kubernetes.io/name": "cloudnative-pg"}, "cnpg-system"),
        Pod("stranger", {}, "default"),
        Pod("intruder", {"app.kubernetes.io/name": "intruder"}),
    ]


def selects(selector, labels):
    unknown = selector.keys() - {"matchLabels"}
    if unknown:
        raise Broken(f"this check does not know {unknown} of a selector")
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def is_peer(peer, pod):
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": pod.namespace}):
            return False
    elif pod.namespace != NAMESPACE:
        return False
    return selects(peer.get("podSelector", {}), pod.labels)


def rule_allows(rule, side, other, target, port):
    ports = rule.get("ports")
    if ports is not None and not any(
            entry["port"] == port or target.ports.get(entry["port"]) == port for entry in ports):
        return False
    return side not in rule or any(is_peer(peer, other) for peer in rule[side])


def direction_allows(policies, direction, pod, other, target, port):
    """Whether the policies that select `pod` let `other` through; without any, all may pass."""
    if pod.namespace != NAMESPACE:
        return True
    chosen = [policy["spec"] for policy in policies
              if selects(policy["spec"]["podSelector"], pod.labels)
              and direction.capitalize() in policy["spec"]["policyTypes"]]
    side = "from" if direction == "ingress" else "to"
    return not chosen or any(rule_allows(rule, side, other, target, port)
                             for spec in chosen for rule in spec.get(direction, []))


def open_ways(documents):
    policies = named(documents, "NetworkPolicy").values()
    pods = pods_of(documents)
    return {(a.name, b.name, port) for a in pods for b in pods for port in b.ports.values()
            if NAMESPACE in (a.namespace, b.namespace)
            and direction_allows(policies, "egress", a, b, b, port)
            and direction_allows(policies, "ingress", b, a, b, port)}


def meant_ways(documents):
    services = {row[0]: int(row[1]) for row in table("services.tsv")}
    consumers = {row[1] for row in table("subscriptions.tsv")}
    jobs = {f"{service}-migrate" for service in services} | {"outbox-subscribe"}
    shop = {*services, *jobs, "outbox-relay", "gateway"}
    clients = shop - {"gateway"}
    ways = {(pod, "dns", 53) for pod in shop}
    ways |= {("gateway", service, port) for service, port in services.items()}
    ways |= {("outbox-relay", consumer, services[consumer]) for consumer in consumers}
    ways |= {(service, "auth", services["auth"]) for service in services if service != "auth"}
    ways |= {(client, "postgres", 5432) for client in clients}
    ways |= {("ingress", "gateway", 8080)}
    # No policy is over a pod that is not ours: it may ask for names.
    ways |= {("intruder", "dns", 53)}
    if "outbox-shop" in named(documents, "ServiceMonitor"):
        ways |= {("prometheus", service, port) for service, port in services.items()}
        ways |= {("prometheus", "outbox-relay", 8010)}
    if EXPORTER in named(documents, "Deployment"):
        ways |= {(EXPORTER, "dns", 53), (EXPORTER, "postgres", 5432), ("prometheus", EXPORTER, 9187)}
    if named(documents, "Cluster"):
        ways |= {("prometheus", "postgres", 9187), ("postgres", "dns", 53)}
        ways |= {(peer, "postgres", port) for peer in ("postgres", "operator") for port in (5432, 8000)}
    return ways


def check_monitoring_namespace(documents, namespace):
    """One setting says who may read metrics, of both charts."""
    asked = {rule["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
             for policy in named(documents, "NetworkPolicy").values()
             for ingress in policy["spec"].get("ingress", [])
             for rule in ingress["from"] if "namespaceSelector" in rule}
    others = asked - {"ingress-nginx", "cnpg-system", namespace}
    if others or namespace not in asked:
        raise Broken(f"with monitoring.namespace={namespace}, metrics are open to {sorted(others) or 'nobody'}")


def check_network(documents):
    got, meant = open_ways(documents), meant_ways(documents)
    problems = [f"{a} can reach {b}:{port}" for a, b, port in sorted(got - meant)]
    problems += [f"{a} can't reach {b}:{port}" for a, b, port in sorted(meant - got)]
    if problems:
        raise Broken("; ".join(problems))
