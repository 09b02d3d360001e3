"""What must hold for the manifests beyond their schemas."""

import re
from pathlib import Path

from charts import Broken

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RESERVED_CONNECTIONS = 10  # for the superuser, the operator, who looks into it by psql


def need(condition, message):
    if not condition:
        raise Broken(message)


def table(name):
    """The rows of a file of tab-separated values in deploy/."""
    lines = (DEPLOY / name).read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines if line and not line.startswith("#")]


def named(documents, kind):
    return {document["metadata"]["name"]: document for document in documents
            if document["kind"] == kind}


def pod_template(document):
    if document["kind"] in ("Deployment", "StatefulSet", "Job"):
        return document["spec"]["template"]
    return None


def environment(container):
    return {variable["name"]: variable for variable in container.get("env", [])}


def check_pod(document):
    """What the restricted Pod Security Standard asks, and more."""
    pod = pod_template(document)["spec"]
    security = pod["securityContext"]
    need(security.get("runAsNonRoot") is True and security.get("runAsUser", 0) > 0, "runs as root")
    need(security.get("seccompProfile") == {"type": "RuntimeDefault"}, "has no seccomp profile")
    need(pod.get("automountServiceAccountToken") is False, "mounts a service account token")
    for container in pod["containers"]:
        check_container(container)
        if document["kind"] != "Job":
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                need(probe in container, f"has no {probe}")
        if is_served(document):
            need("preStop" in container.get("lifecycle", {}), "has no preStop")
    if is_served(document):
        need(len(pod.get("topologySpreadConstraints", [])) == 2, "is not spread")


def is_served(document):
    """Whether its pods follow each other without a gap; the others are single, and asked by no user."""
    return document["kind"] == "Deployment" and document["spec"]["strategy"]["type"] == "RollingUpdate"


def check_container(container):
    security = container.get("securityContext", {})
    need(security.get("allowPrivilegeEscalation") is False, "may escalate privileges")
    need(security.get("readOnlyRootFilesystem") is True, "has a writable root file system")
    need(security.get("capabilities") == {"drop": ["ALL"]}, "keeps capabilities")
    check_image(container["image"])
    resources = container["resources"]
    need(resources.get("requests", {}).keys() >= {"cpu", "memory"}, "has no requests")
    need("memory" in resources.get("limits", {}), "has no memory limit")
    for name, variable in environment(container).items():
        if "PASS" in name and not name.endswith("_FILE") \
                or "SECRET" in name and not name.endswith("_DIR"):
            need("valueFrom" in variable or is_composed(variable["value"], environment(container)),
                 f"has a plain value in {name}")


def is_composed(value, variables):
    """Whether a list of name=secret has nothing in it but what comes from Secrets."""
    words = [re.fullmatch(r"[a-z-]+=\$\((\w+)\)", word) for word in value.split(" ")]
    return all(word and "valueFrom" in variables.get(word[1], {}) for word in words)


def check_image(image):
    name, at, digest = image.partition("@")
    if at:
        need(digest.startswith("sha256:") and len(digest) == 71, f"image {image}: no digest")
        return
    tag = name.rpartition("/")[2].partition(":")[2]
    need(tag != "latest" and any(c.isdigit() for c in tag), f"image {image} is not pinned")


def check_shop(documents):
    """What must be there for each workload of the shop."""
    services = {row[0]: int(row[1]) for row in table("services.tsv")}
    workloads = {*services, "gateway", "outbox-relay"}
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"):
        got = set(named(documents, kind))
        need(got == workloads, f"{kind} of {sorted(got ^ workloads)}")
    scaled = named(documents, "HorizontalPodAutoscaler")
    need(set(scaled) == workloads - {"outbox-relay"}, f"HorizontalPodAutoscaler of {sorted(scaled)}")
    for name, deployment in named(documents, "Deployment").items():
        fixed = "replicas" in deployment["spec"]
        need(fixed == (name not in scaled), f"{name}: replicas and the autoscaler contend")
    need(named(documents, "Deployment")["outbox-relay"]["spec"]["replicas"] >= 2, "no standby relay")
    for name, budget in named(documents, "PodDisruptionBudget").items():
        need(budget["spec"].get("maxUnavailable", 0) >= 1, f"{name}: no pod may be evicted")
    jobs = named(documents, "Job")
    for service, port in services.items():
        need(named(documents, "Service")[service]["spec"]["ports"][0]["port"] == port,
             f"{service} has another port")
        check_hook(jobs, f"{service}-migrate", "pre-install,pre-upgrade")
    check_hook(jobs, "outbox-subscribe", "post-install,post-upgrade,post-rollback")
    check_subscriptions(jobs["outbox-subscribe"])
    check_webhooks(documents)
    rule = named(documents, "Ingress")["gateway"]["spec"]["rules"][0]
    need(rule["host"] == "arch.homework", "the Ingress has another host")
    need(rule["http"]["paths"][0]["path"] == "/otusapp/alapitskii", "the Ingress has another path")


def check_hook(jobs, name, hook):
    need(name in jobs, f"no Job {name}")
    got = jobs[name]["metadata"].get("annotations", {}).get("helm.sh/hook")
    need(got == hook, f"{name} is no {hook} hook")


def check_subscriptions(job):
    """The chart subscribes what deploy/subscriptions.tsv says."""
    got = set()
    for container in job["spec"]["template"]["spec"]["containers"]:
        consumer = container["args"][1]
        source = container["name"].removesuffix(f"-{consumer}")
        types = [word.partition("=")[2] for word in container["args"] if word.startswith("--types=")]
        got.add((source, consumer, types[0]))
    differing = got ^ set(table("subscriptions.tsv"))
    need(not differing, f"subscriptions differ: {differing}")


def reference(variable):
    """(Secret, key) that an environment variable is read from."""
    source = variable.get("valueFrom", {}).get("secretKeyRef", {})
    return source.get("name"), source.get("key")


def check_webhooks(documents):
    """Each consumer believes what the relay signs for it: both read the same Secret of the subscription."""
    deployments = named(documents, "Deployment")
    signing = {container["name"]: reference(environment(container)["OUTBOX_SUBSCRIPTION_SECRET"])
               for container in pod_template(named(documents, "Job")["outbox-subscribe"])["spec"]["containers"]}
    for source, consumer, _ in table("subscriptions.tsv"):
        variables = environment(pod_template(deployments[consumer])["spec"]["containers"][0])
        believed = dict(word.split("=$") for word in variables["WEBHOOK_SECRETS"]["value"].split(" ")) \
            if "WEBHOOK_SECRETS" in variables else {}
        variable = variables.get(believed.get(source, "").strip("()"), {})
        need(variable and reference(variable) == signing[f"{source}-{consumer}"],
             f"{consumer} does not know what signs the events of {source}")
        # The kubelet expands only what is above.
        names = list(variables)
        need(names.index(variable["name"]) < names.index("WEBHOOK_SECRETS"),
             f"{consumer}: WEBHOOK_SECRETS is above what it is made of")
        need(reference(variable)[0] in named(documents, "Secret"), f"no Secret {reference(variable)[0]}")


def check_one_more_subscription(before, after, consumer):
    """Pods read webhook secrets when they start: those of the consumer have to start anew, and no others."""
    old, new = named(before, "Deployment"), named(after, "Deployment")
    changed = {name for name in old if pod_template(old[name]) != pod_template(new[name])}
    need(changed == {consumer}, f"one more subscription of {consumer} restarts {sorted(changed) or 'nothing'}")


def check_database(documents, mode):
    """The databases are those of the services; whoever has a login has a password."""
    wanted = {(row[0].replace("-", "_"), row[2] == "publishes") for row in table("services.tsv")}
    roles = {role for role, _ in wanted} | {"relay", "monitor"}
    if mode == "local":
        rows = named(documents, "ConfigMap")["postgres-provision"]["data"]["services.tsv"].splitlines()
        got = {(row.split("\t")[0].replace("-", "_"), row.split("\t")[2] == "publishes") for row in rows}
        roles |= {"postgres"}
    else:
        got = {(database["spec"]["name"], publishes) for database in named(documents, "Database").values()
               for role, publishes in wanted if role == database["spec"]["owner"]}
        managed = {role["name"]: role for role in named(documents, "Cluster")["shop-database"]["spec"]["managed"]["roles"]}
        need(set(managed) == roles, f"managed roles: {sorted(set(managed) ^ roles)}")
        need(managed["monitor"]["inRoles"] == ["outbox_reader", "pg_monitor"], "role monitor may do other things")
    need(got == wanted, f"databases: {sorted(got ^ wanted)}")
    secrets = {f"shop-db-{role.replace('_', '-')}" for role in roles}
    need(set(named(documents, "Secret")) == secrets, f"passwords: {sorted(set(named(documents, 'Secret')) ^ secrets)}")


def check_exporter(documents):
    """It is the one of docker-compose.yml, asks the same, and is known to Prometheus by the same job."""
    container = pod_template(named(documents, "Deployment")["postgres-exporter"])["spec"]["containers"][0]
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    need(f"{container['image']}}}" in compose, "docker-compose.yml has another postgres_exporter")
    queries = (ROOT / "monitoring" / "postgres-exporter" / "queries.yml").read_text(encoding="utf-8")
    data = named(documents, "ConfigMap")["postgres-exporter"]["data"]
    mounted = {f"--extend.query-path={mount['mountPath']}/{file}" for mount in container["volumeMounts"] for file in data}
    need(data == {"queries.yml": queries} and mounted <= set(container["args"]), "the exporter asks something else")
    user = environment(container)["DATA_SOURCE_USER"]["value"]
    need(reference(environment(container)["DATA_SOURCE_PASS"]) == (f"shop-db-{user}", "password"),
         "the exporter has the password of another")
    monitor = named(documents, "ServiceMonitor")["postgres-exporter"]["spec"]
    service = named(documents, "Service")["postgres-exporter"]["metadata"]["labels"]
    need(monitor["selector"]["matchLabels"].items() <= service.items(), "the exporter's Service is not chosen")
    jobs = [rule["replacement"] for rule in monitor["endpoints"][0]["relabelings"] if rule.get("targetLabel") == "job"]
    need(jobs == ["postgres"], f"the exporter is job {jobs}")


def check_secrets(documents):
    """What is generated outlives all that Helm does: it is no part of the release, whose manifest a rollback
    would apply again, and Helm never deletes it."""
    for name, secret in named(documents, "Secret").items():
        annotations = secret["metadata"].get("annotations", {})
        need(annotations.get("helm.sh/hook") == "pre-install,pre-upgrade", f"Secret {name} is part of the release")
        need(annotations.get("helm.sh/hook-delete-policy") == "hook-failed", f"Secret {name} would be replaced")
        need(annotations.get("helm.sh/hook-weight") == "-1", f"Secret {name} comes too late for migrations")


def check_connections(documents):
    """All pods at their most numerous, in mid-rollout, find a connection."""
    wanted = 0
    scaled = named(documents, "HorizontalPodAutoscaler")
    for name, deployment in named(documents, "Deployment").items():
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        if name == "postgres-exporter":  # one for each database, those of PostgreSQL and CloudNativePG, too
            wanted += len(table("services.tsv")) + 2
            continue
        surge = deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        if name == "outbox-relay":  # two for each source
            sources = sum(word.startswith("--source=") for word in container["args"])
            wanted += (deployment["spec"]["replicas"] + surge) * sources * 2
        elif "DB_POOL_SIZE" in environment(container):
            pods = scaled[name]["spec"]["maxReplicas"] + surge
            wanted += pods * int(environment(container)["DB_POOL_SIZE"]["value"])
    most = max_connections(documents)
    need(wanted + RESERVED_CONNECTIONS <= most,
         f"{wanted} connections and {RESERVED_CONNECTIONS} in reserve are more than {most}")


def max_connections(documents):
    for cluster in named(documents, "Cluster").values():
        return int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    container = named(documents, "StatefulSet")["postgres"]["spec"]["template"]["spec"]["containers"][0]
    setting = [word for word in container["args"] if word.startswith("max_connections=")]
    return int(setting[0].partition("=")[2])
