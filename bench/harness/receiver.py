"""The receiver of all POSTs: one nginx worker that answers 204 on kept-alive connections, and
counts."""

import http.client
import shutil
import tempfile
from pathlib import Path

from lib import process, wait

from . import processes

CONFIGURATION = """
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
daemon off;
events {{ worker_connections 2048; }}
http {{
    access_log {access_log};
    log_format id $http_webhook_id;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 204; }}
        location = /count {{ stub_status; }}
    }}
}}
"""


class Receiver:
    """nginx, on construction started; stop() ends it. With `log_ids`, the id of every request is
    kept (which costs, so only where nothing is measured)."""

    def __init__(self, log_ids=False):
        self.port = process.free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
        self._log = self.directory / "ids"
        configuration = self.directory / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(
            directory=self.directory, port=self.port,
            access_log=f"{self._log} id" if log_ids else "off"))
        self._process = process.start(
            [shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin"), "-c", configuration,
             "-p", self.directory, "-e", self.directory / "error.log"])
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port)
        self._own = 0
        wait.until(lambda: self.requests() >= 0, 10, "nginx")

    def stop(self):
        self._connection.close()
        process.stop(self._process)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/events"

    def requests(self):
        """How many there were, without those that ask for the count."""
        try:
            self._connection.request("GET", "/count")
            text = self._connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        self._own += 1
        return int(text.splitlines()[2].split()[2]) - self._own

    def ids(self):
        """The webhook-id of each request so far. Only with log_ids."""
        return self._log.read_text().split()

    def cpu_s(self):
        return processes.tree_cpu_s(self._process.pid)
