"""Prometheus, Alertmanager and the exporters at a stack, on loopback ports, in a hurry: what takes minutes
in production takes seconds here. Everything else of monitoring/ is used as it is."""

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import requests
from lib import process, wait
from lib.full_stack import SERVICES
from operators import BOT_TOKEN, CHAT_ID

HERE = Path(__file__).resolve().parent
MONITORING = process.ROOT / "monitoring"
# Range and pending time in the rules, production → here. Scrapes are a second apart.
RATE_INTERVAL = "20s"
HURRIED = {"5m": RATE_INTERVAL, "15m": "30s", "1h": "60s", "6h": "60s", "7d": "10m"}
STEP = "1s"  # of subqueries
PENDING = "2s"


def hurried(rules):
    rules = re.sub(r"(?m)^(\s+for): \S+$", rf"\1: {PENDING}", rules)
    return re.sub(r"\[(\w+)(:\w+)?\]", lambda match: f"[{HURRIED[match.group(1)]}"
                  + (f":{STEP}]" if match.group(2) else "]"), rules)


class Standby:
    """A second server that streams from the stack's."""

    def __init__(self, stack):
        self._run_dir = stack.directory
        self.directory = Path(tempfile.mkdtemp(prefix="standby-", dir="/var/tmp"))
        self.port = process.free_port()
        self.password = (stack.directory / "secrets" / "postgres").read_text().strip()

    def _script(self, command, *arguments):
        done = subprocess.run([HERE / "standby.sh", command, self._run_dir, self.directory, *arguments],
                              capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def __enter__(self):
        try:
            self._script("start", str(self.port))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._script("stop")

    def ask(self, sql, database="postgres"):
        """Runs one statement on the standby as superuser."""
        done = subprocess.run(["psql", "-XqAt", "-h", "127.0.0.1", "-p", str(self.port), "-U",
                               "postgres", "-d", database, "-c", sql], capture_output=True, text=True,
                              check=False, env={**os.environ, "PGPASSWORD": self.password})
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class Watchers:
    def __init__(self, stack, operators, directory):
        self._stack, self._operators, self._directory = stack, operators, directory
        self._ports = {name: process.free_port()
                       for name in ("prometheus", "alertmanager", "postgres", "node")}
        self._processes = {}

    def __enter__(self):
        try:
            self._configure()
            self._start_all()
            self.wait_targets_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for running in self._processes.values():
            process.stop(running)

    # Configuration

    def _address(self, name):
        return f"127.0.0.1:{self._ports[name]}"

    def _configure(self):
        folder = self._directory
        text = (MONITORING / "prometheus.yml").read_text().replace("15s", "1s")
        # Without a server to ask, postgres_exporter takes a second to say so.
        text = text.replace("scrape_timeout: 10s", "scrape_interval: 3s\n    scrape_timeout: 3s")
        (folder / "prometheus.yml").write_text(text)
        (folder / "rules").mkdir()
        for path in (MONITORING / "rules").glob("*.yml"):
            (folder / "rules" / path.name).write_text(hurried(path.read_text()))
        (folder / "targets").mkdir()
        for name in self._ports:
            (folder / "targets" / f"{name}.yml").write_text(f"- targets: ['{self._address(name)}']\n")
        self._list_shop()
        (folder / "token").write_text(BOT_TOKEN + "\n")
        (folder / "alertmanager.yml").write_text(subprocess.run(
            [MONITORING / "alertmanager" / "render"], check=True, capture_output=True, text=True,
            env={**os.environ, "TELEGRAM_CHAT_ID": str(CHAT_ID),
                 "TELEGRAM_BOT_TOKEN_FILE": str(folder / "token"),
                 "TELEGRAM_API_URL": self._operators.url,
                 "ALERT_WEBHOOK_URL": self._operators.url + "/hook",
                 "GROUP_WAIT": "1s", "GROUP_INTERVAL": "1s"}).stdout)

    def _list_shop(self, without=None):
        env = self._stack.env
        ports = {**{name: env[name.upper().replace("-", "_") + "_PORT"] for name in SERVICES},
                 "outbox-relay": env["RELAY_PORT"]}
        ports.pop(without, None)
        file = self._directory / "targets" / "shop.yml"
        file.with_suffix(".new").write_text("".join(
            f"- {{targets: ['127.0.0.1:{port}'], labels: {{service: {name}}}}}\n"
            for name, port in ports.items()))
        file.with_suffix(".new").rename(file)

    @contextmanager
    def without(self, service):
        """Prometheus finds no target of this service, as when Kubernetes has none of its pods."""
        self._list_shop(without=service)
        try:
            yield
        finally:
            self._list_shop()

    # Programs

    def _start(self, name, *command, **environment):
        with open(self._directory / f"{name}.log", "ab") as log:
            self._processes[name] = process.start(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **environment})

    def _start_all(self):
        folder = self._directory
        self._start("prometheus", "prometheus", f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address={self._address('prometheus')}")
        self._start("alertmanager", "prometheus-alertmanager",
                    f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts",
                    f"--web.listen-address={self._address('alertmanager')}",
                    "--cluster.listen-address=")
        self._start("node", "prometheus-node-exporter", "--collector.disable-defaults",
                    "--collector.filesystem", f"--web.listen-address={self._address('node')}")
        self.start_postgres_exporter()

    def start_postgres_exporter(self):
        self._start("postgres", "prometheus-postgres-exporter",
                    f"--web.listen-address={self._address('postgres')}", "--auto-discover-databases",
                    f"--extend.query-path={MONITORING}/postgres-exporter/queries.yml",
                    DATA_SOURCE_URI=f"127.0.0.1:{self._stack.env['PG_PORT']}/postgres"
                                    "?sslmode=disable&connect_timeout=3",
                    DATA_SOURCE_USER="monitor",
                    DATA_SOURCE_PASS_FILE=str(self._stack.directory / "secrets" / "role.monitor"))

    def log(self, name):
        return (self._directory / f"{name}.log").read_text()

    # Questions to Prometheus

    def _get(self, path, **parameters):
        answer = requests.get(f"http://{self._address('prometheus')}/api/v1/{path}",
                              params=parameters, timeout=30)
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression):
        """The instant vector: (labels, value) pairs."""
        data = self._get("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(item["metric"], float(item["value"][1])) for item in data["result"]]

    def metric_names(self):
        return set(self._get("label/__name__/values"))

    def wait_targets_up(self):
        def up():
            targets = self._get("targets")["activeTargets"]
            down = [f"{t['scrapeUrl']}: {t['health']} {t['lastError']}"
                    for t in targets if t["health"] != "up"]
            assert len(targets) == len(SERVICES) + 1 + len(self._ports), targets
            assert not down, down
            return True
        wait.until(up, 30, "all targets to be up", 0.2)

    def firing(self, alertname, **labels):
        """The labels of such alerts that fire now."""
        matchers = ",".join(f'{name}="{value}"' for name, value in
                            {"alertname": alertname, "alertstate": "firing", **labels}.items())
        return [about for about, _ in self.query(f"ALERTS{{{matchers}}}")]


