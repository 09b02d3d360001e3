"""The program under test: its command line and its daemon."""

import os
import shutil
import subprocess

from lib import process

from . import processes


NATIVE_LIBRARY = process.BUILD / "native" / "outbox_emit.so"


class Relay:
    """A publishing database made ready with `outbox-relay init`; run() starts the daemon."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._process = None
        self._log = cluster.directory / "relay.log"
        self._owner = cluster.dsn(cluster.database, cluster.database)
        self._command("init")

    def _command(self, *arguments):
        subprocess.run([process.binary("outbox-relay"), *arguments, "--source", self._owner],
                       check=True, stdout=subprocess.DEVNULL)

    def subscribe(self, url, name="bench", batch_size=1, lanes=32, types="*", timeout_ms=10_000):
        """A subscription that begins with the oldest event."""
        self._command("subscribe", name, "--url", url, "--types", types, "--from-beginning",
                      "--batch-size", str(batch_size), "--max-in-flight", str(lanes),
                      "--timeout-ms", str(timeout_ms))

    def use_native_emit(self, native):
        """Whether outbox.emit() is the library's function or the one in PL/pgSQL."""
        # A copy: the server's user may not be able to enter the build directory.
        library = self._cluster.directory / NATIVE_LIBRARY.name
        if native and not library.exists():
            shutil.copy(NATIVE_LIBRARY, library)
        subprocess.run([process.binary("outbox-relay"), "init",
                        *(["--native-library", library] if native else ["--no-native"]),
                        "--source", self._cluster.dsn(self._cluster.database, "postgres")],
                       check=True, stdout=subprocess.DEVNULL)

    def unsubscribe(self, name="bench"):
        self._cluster.execute("select outbox.unsubscribe(%s)", (name,))

    def replay(self):
        """All subscriptions begin anew."""
        self._cluster.execute("select outbox.replay(name, 1) from outbox.subscription")

    def start(self, **settings):
        dsn = self._cluster.dsn(self._cluster.database, "relay")
        with open(self._log, "ab") as log:
            self._process = process.start(
                [process.binary("outbox-relay"), "run", "--source",
                 f"{self._cluster.database}={dsn}", "--listen", "off"],
                stdout=log, stderr=log, env={**os.environ, "LOG_LEVEL": "warn", **settings})

    def stop(self):
        if self._process:
            process.stop(self._process)
            self._process = None

    @property
    def pid(self):
        return self._process.pid

    def cpu_s(self):
        return processes.cpu_s(self.pid)

    def memory_mib(self, field="VmRSS"):
        return processes.memory_mib(self.pid, field)

    def done(self):
        """Whether every event has been delivered to every subscription, as the database knows."""
        return self._cluster.scalar(
            "select coalesce(bool_and(position >= (select max(id) from outbox.event)),"
            " true) and not exists (select from outbox.delivery) from outbox.subscription")
