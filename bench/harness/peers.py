"""Graphile Worker and pg-boss: each drains jobs of the same payloads with an HTTP POST each."""

import os
import subprocess
from pathlib import Path

from lib import process

from . import processes

LOAD_AT_ONCE = 10_000
PEERS = Path(__file__).resolve().parents[1] / "peers"


def node():
    """The Node.js that comes with the peers; they need a newer one than Debian 12 has."""
    for found in PEERS.glob("node_modules/node-linux-*/bin/node"):
        return found
    raise FileNotFoundError("the peers are not installed: run make bench-peers")


def version(package):
    import json
    return json.loads((PEERS / "node_modules" / package / "package.json").read_text())["version"]


class Peer:
    """One of them in a database of its own. `settings` are the environment of its script."""

    def __init__(self, cluster, script, url, **settings):
        self._cluster = cluster
        self._process = None
        self.database = script.split(".")[0]
        self._script = PEERS / script
        self._environment = {
            **os.environ, **cluster.environment(self.database), "TARGET_URL": url,
            "NODE_ENV": "production", **{name: str(value) for name, value in settings.items()}}
        cluster.create_database(self.database)
        self._run("migrate")

    def _run(self, *arguments):
        subprocess.run([node(), self._script, *arguments], env=self._environment, check=True)

    def start(self):
        self._process = process.start([node(), self._script, "run"], env=self._environment,
                                      stdout=subprocess.PIPE)
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self._script.name} did not start")

    def stop(self):
        if self._process:
            process.stop(self._process)
            self._process.stdout.close()
            self._process = None

    def cpu_s(self):
        return processes.tree_cpu_s(self._process.pid)

    def memory_mib(self, field="VmRSS"):
        return processes.memory_mib(self._process.pid, field)

    def query(self, sql, parameters=None):
        return self._cluster.query(self.database, sql, parameters)


class Graphile(Peer):
    """See peers/graphile.mjs."""

    def __init__(self, cluster, url, **settings):
        super().__init__(cluster, "graphile.mjs", url, **settings)

    def load(self, count):
        for start in range(1, count + 1, LOAD_AT_ONCE):
            end = min(count, start + LOAD_AT_ONCE - 1)
            self.query(
                "select count(*) from graphile_worker.add_jobs((select array_agg("
                "('post', bench.payload(n)::json, null, null, null, null, null, null)"
                "::graphile_worker.job_spec) from generate_series(%s, %s) n))", (start, end))
        self._cluster.settle()
        self.query("vacuum (analyze)")

    def done(self):
        return self._cluster.value(
            self.database, "select not exists (select from graphile_worker._private_jobs)")


class PgBoss(Peer):
    """See peers/pgboss.mjs."""

    def __init__(self, cluster, url, **settings):
        super().__init__(cluster, "pgboss.mjs", url, **settings)

    def load(self, count):
        self._run("load", str(count))
        self._cluster.settle()
        self.query("vacuum (analyze)")

    def done(self):
        return self._cluster.value(
            self.database,
            "select not exists (select from pgboss.job where name = 'post' and state < 'completed')")
