"""A service as a process of its own: migrated by SERVICE_MODE=INIT, started on a free port, ready
when /readyz says so."""

import os
import subprocess

import requests

from . import event_docs, events, process, wait


class Service:
    """`pg` is a pg.Cluster, `issuer` a tokens.Issuer. Settings given by name go to the environment
    and win. start() migrates first."""

    def __init__(self, name, pg, issuer=None, **settings):
        self.name = name
        self.pg = pg
        self.database = name.replace("-", "_")
        self.port = process.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = events.new_secret()
        self.events = events.Poster(self.url, self.secret)
        self.directory = process.directory(name)
        self.log = self.directory / "log"
        self.http = requests.Session()
        self._process = None
        self.environment = {
            "DATABASE_URL": pg.provision(name),
            "LISTEN_ADDRESS": "127.0.0.1",
            "PORT": str(self.port),
            "WEBHOOK_SECRETS": self.secret,
            **({"JWKS_URL": issuer.url} if issuer else {}),
            **{key: str(value) for key, value in settings.items()},
        }

    def _environment(self, **more):
        return {"PATH": os.environ["PATH"], **process.sanitizer_options(), **self.environment, **more}

    def init(self):
        """Runs the migrations; fails with the program's own words when they do."""
        done = subprocess.run([str(process.binary(self.name))], capture_output=True, text=True,
                              timeout=60, env=self._environment(SERVICE_MODE="INIT"), check=False)
        assert done.returncode == 0, f"{self.name} INIT: {done.returncode}\n{done.stderr}"
        return self

    def start(self, ready=True):
        self.init()
        return self.run(ready)

    def run(self, ready=True):
        """Starts without migrating."""
        with open(self.log, "ab") as log:
            self._process = process.start(
                [process.binary(self.name)], stdout=log, stderr=log, cwd=self.directory,
                env=self._environment(SERVICE_MODE="SERVICE"))
        if ready:
            wait.until(self._is_ready, 30,
                       f"{self.name} to be ready, see {self.log} (KEEP_LOGS=1)")
        return self

    def _is_ready(self):
        if self._process.poll() is not None:
            raise wait.GiveUp(f"{self.name} ended: {self._process.returncode}\n{self.tail()}")
        return requests.get(self.url + "/readyz", timeout=2).status_code == 200

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process is not None and self._process.poll() is None

    def stop(self):
        """SIGTERM; the exit status must be 0, also of a sanitizer build."""
        if self._process is None:
            return
        status = process.stop(self._process)
        self._process = None
        assert status == 0, f"{self.name} ended with {status}:\n{self.tail()}"

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process = None

    def request(self, method, path, token=None, **options):
        """An HTTP request, with a bearer token when given; options as those of requests."""
        headers = dict(options.pop("headers", None) or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        options.setdefault("timeout", 30)
        return self.http.request(method, self.url + path, headers=headers, **options)

    def get(self, path, token=None, **options):
        return self.request("GET", path, token, **options)

    def post(self, path, token=None, **options):
        return self.request("POST", path, token, **options)

    def query(self, sql, parameters=None):
        return self.pg.query(self.database, sql, parameters)

    def value(self, sql, parameters=None):
        return self.pg.value(self.database, sql, parameters)

    def emitted(self, event_type=None, aggregate_id=None):
        """The service's own outbox in emit order: dicts of type, key, payload, headers and id. Each
        must be as docs/events.md has it."""
        rows = self.query(
            "select event_type, aggregate_id, payload, headers, event_id from outbox.event"
            " where (%(type)s is null or event_type = %(type)s)"
            " and (%(key)s is null or aggregate_id = %(key)s) order by id",
            {"type": event_type, "key": None if aggregate_id is None else str(aggregate_id)})
        for row in rows:
            event_docs.check(row[0], row[2])
        names = ("type", "key", "payload", "headers", "id")
        return [dict(zip(names, row)) for row in rows]


def assert_problem(response, status, code=None, field=None):
    """The answer is a problem of RFC 9457 with this status, code and field."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    assert response.headers["Content-Type"].startswith("application/problem+json")
    body = response.json()
    assert body["status"] == status
    for member in ("type", "title", "detail", "code", "requestId"):
        assert body.get(member), f"{member} missing in {body}"
    if code:
        assert body["code"] == code, body
    if field:
        assert body.get("field") == field, body
    return body
