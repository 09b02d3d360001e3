"""A service as a process: its arguments, its settings, SERVICE_MODE, ports, signals, a database that
is away or read-only."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import threading

import pytest
import requests
from lib import process, wait
from lib.events import new_secret
from lib.service import Service, assert_problem

NAME = "price"
SERVICES = ("auth", "user-profile", "billing", "order", "notification", "product", "price")


def run(*arguments, name=NAME, **environment):
    """Runs the program to its end. Nothing of this process's environment is passed on."""
    return subprocess.run([str(process.binary(name)), *arguments], capture_output=True, text=True,
                          timeout=60, check=False, env={"PATH": os.environ["PATH"], **environment})


def good_settings(**more):
    return {"DATABASE_URL": "host=/nowhere dbname=price", "WEBHOOK_SECRETS": new_secret(),
            "PORT": "0", **more}


def only_line(done):
    """The one line that was said on stderr."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def log_lines(text):
    """Every line of a log is one JSON object."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(name="price")
def _price(start_service):
    return start_service(NAME)


@pytest.mark.parametrize("name", SERVICES)
def test_tells_of_itself(name):
    version = run("--version", name=name)
    assert version.returncode == 0 and version.stdout.startswith(name + " ")
    usage = run("--help", name=name)
    assert usage.returncode == 0 and not usage.stderr
    for setting in ("SERVICE_MODE", "PORT", "DATABASE_URL", "SHUTDOWN_TIMEOUT_MS"):
        assert f"\n  {setting}" in usage.stdout
    table = run("--settings-markdown", name=name)
    assert table.returncode == 0
    assert all(line.count("|") >= 5 for line in table.stdout.splitlines())


@pytest.mark.parametrize("arguments", [("--hlep",), ("run",), ("--help", "--version"), ("",)])
def test_wrong_arguments(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and not done.stdout
    assert only_line(done).startswith("price: ")
    assert "--help" in only_line(done)


@pytest.mark.parametrize("name, value, says", [
    ("PORT", "abc", 'PORT must be an integer from 0 to 65535, not "abc"'),
    ("PORT", "65536", 'PORT must be an integer from 0 to 65535, not "65536"'),
    ("SERVICE_MODE", "SERVE", 'SERVICE_MODE must be SERVICE or INIT, not "SERVE"'),
    ("LOG_LEVEL", "verbose", 'LOG_LEVEL must be debug, info, warn or error, not "verbose"'),
    ("DB_POOL_SIZE", "0", 'DB_POOL_SIZE must be an integer from 1 to 200 connections, not "0"'),
    ("DEMO_DATA", "1", 'DEMO_DATA must be true or false, not "1"'),
    ("DATABASE_URL", "", "DATABASE_URL is not set"),
    ("WEBHOOK_SECRETS", "", "WEBHOOK_SECRETS is not set"),
    ("WEBHOOK_SECRETS", "hunter2", "WEBHOOK_SECRETS must be"),
    ("DATABASE_URL", "postgres://bob:hunter2@[::", "DATABASE_URL is not a PostgreSQL connection string"),
    ("DATABASE_URL_FILE", "/nowhere/at/all", "DATABASE_URL and DATABASE_URL_FILE are both set"),
])
def test_wrong_settings(name, value, says):
    done = run(**good_settings(**{name: value}))
    assert done.returncode == 2
    assert only_line(done).startswith("price: " + says)
    assert "hunter2" not in done.stdout + done.stderr


def test_init_needs_no_callback_secrets(pg):
    dsn = pg.provision(NAME)
    done = run(SERVICE_MODE="INIT", DATABASE_URL=dsn)
    assert done.returncode == 0, done.stderr
    assert log_lines(done.stderr)[-1]["message"] == "initialized"


def test_init_twice_and_in_parallel(pg):
    pg.query("postgres", f'drop database if exists "{NAME}" with (force)')
    dsn = pg.provision(NAME)
    command = [str(process.binary(NAME))]
    environment = {"PATH": os.environ["PATH"], "SERVICE_MODE": "INIT", "DATABASE_URL": dsn}
    # pylint: disable-next=consider-using-with
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
               for _ in range(5)]
    logs = [child.communicate(timeout=60)[1] for child in started]
    assert [child.returncode for child in started] == [0] * 5, logs
    applied = [(line["set"], line["migration"]) for log in logs for line in log_lines(log)
               if line["message"] == "migration applied"]
    assert len(applied) == len(set(applied)) > 0
    again = run(SERVICE_MODE="INIT", DATABASE_URL=dsn)
    assert [line["message"] for line in log_lines(again.stderr)] == ["initialized"]


def test_init_waits_for_the_database(pg):
    dsn = pg.provision(NAME)
    pg.halt()
    waiting = process.start([process.binary(NAME)], stderr=subprocess.PIPE, text=True, env={
        "PATH": os.environ["PATH"], "SERVICE_MODE": "INIT", "DATABASE_URL": dsn})
    first = json.loads(waiting.stderr.readline())
    pg.start()
    rest = waiting.communicate(timeout=60)[0]
    assert first["message"] == "database unreachable"
    assert waiting.returncode == 0, rest


def test_init_gives_up_in_time():
    done = run(SERVICE_MODE="INIT", DATABASE_URL="host=/nowhere dbname=price",
               INIT_TIMEOUT_MS="200")
    assert done.returncode == 1
    assert log_lines(done.stderr)[-1]["message"] == "could not reach the database in time"


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(**good_settings(PORT=str(port)))
    assert done.returncode == 1
    assert only_line(done) == f"price: port {port} of 127.0.0.1 is taken; set PORT to a free one"


def test_a_strange_address_is_named():
    done = run(**good_settings(LISTEN_ADDRESS="192.0.2.1"))
    assert done.returncode == 1
    assert only_line(done) == "price: 192.0.2.1 is not an address of this machine; set LISTEN_ADDRESS"


def test_secrets_may_come_from_files(pg, issuer, tmp_path):
    service = Service(NAME, pg, issuer)
    for name in ("DATABASE_URL", "WEBHOOK_SECRETS"):
        path = tmp_path / name
        path.write_text(service.environment.pop(name) + "\n", encoding="ascii")
        service.environment[name + "_FILE"] = str(path)
    service.start()
    service.stop()


def test_starts_without_the_database_and_finds_it_later(pg, issuer):
    service = Service(NAME, pg, issuer, DB_ACQUIRE_TIMEOUT_MS=200)
    service.init()
    pg.halt()
    try:
        service.run(ready=False)
        wait.until(lambda: "listening" in service.log.read_text(), 10, "the service to listen")
        assert requests.get(service.url + "/livez", timeout=5).status_code == 200
        wait.until(lambda: "database" in requests.get(service.url + "/readyz", timeout=10).text,
                   10, "the service to miss its database")
        assert_problem(requests.get(service.url + "/readyz", timeout=10), 503, "unavailable")
        answer = requests.get(service.url + "/prices?productIds=1", timeout=10)
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        pg.start()
    wait.until(lambda: requests.get(service.url + "/readyz", timeout=10).status_code == 200,
               10, "the service to be ready")
    assert requests.get(service.url + "/prices?productIds=1", timeout=10).status_code == 200
    service.stop()


def test_a_read_only_database_is_not_ready(pg, issuer):
    service = Service(NAME, pg, issuer)
    service.init()
    pg.query("postgres", f"alter database {NAME} set default_transaction_read_only = on")
    try:
        service.run(ready=False)
        wait.until(lambda: "read-only" in requests.get(service.url + "/readyz", timeout=5).text,
                   10, "the service to see that it can't write")
        assert requests.get(service.url + "/prices?productIds=1", timeout=5).status_code == 200
        service.stop()
    finally:
        pg.query("postgres", f"alter database {NAME} reset default_transaction_read_only")


def test_a_busy_pool_is_ready_and_a_lost_database_is_not(pg, issuer):
    """All connections wait for a lock: that is load. Once the server is gone they can't be made anew."""
    service = Service(NAME, pg, issuer, DB_POOL_SIZE=2, DB_ACQUIRE_TIMEOUT_MS=10000)
    service.init()
    service.run()
    lock = pg.connect(NAME)
    lock.cursor().execute("begin; lock table price in access exclusive mode")
    with concurrent.futures.ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(requests.get, service.url + "/prices?productIds=1", timeout=30) for _ in range(3)]
        wait.until(lambda: pg.value("postgres", "select count(*) from pg_stat_activity"
                                    " where datname = %s and wait_event_type = 'Lock'", (NAME,)) == 2,
                   10, "the requests to wait for the lock")
        assert requests.get(service.url + "/readyz", timeout=3).status_code == 200
        pg.halt()
        try:
            wait.until(lambda: requests.get(service.url + "/readyz", timeout=30).status_code == 503,
                       20, "the service to miss its database")
            assert [answer.result().status_code for answer in asked] == [503] * 3
        finally:
            pg.start()
    wait.until(lambda: requests.get(service.url + "/readyz", timeout=10).status_code == 200,
               10, "the service to be ready")
    service.stop()


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_progress_is_finished(pg, price, stop_signal):
    """The request waits for a lock while the service is told to stop; idle connections don't hold
    it up."""
    idle = requests.Session()
    assert idle.get(price.url + "/livez", timeout=5).status_code == 200
    lock = pg.connect(NAME)
    cursor = lock.cursor()
    cursor.execute("begin; lock table price in access exclusive mode")
    answers = []
    client = threading.Thread(target=lambda: answers.append(
        requests.get(price.url + "/prices?productIds=1", timeout=30)))
    client.start()
    wait.until(lambda: pg.value("postgres", "select count(*) from pg_stat_activity"
                                " where datname = %s and wait_event_type = 'Lock'", (NAME,)) == 1,
               10, "the request to wait for the lock")
    os.kill(price.pid, stop_signal)
    wait.until(lambda: "stopping" in price.log.read_text(), 10, "the service to stop")
    wait.until(lambda: refused(price.port), 10, "the socket to be closed")
    assert price.running()
    cursor.execute("rollback")
    lock.close()
    client.join()
    assert answers[0].status_code == 200
    assert answers[0].headers["Connection"] == "close"
    price.stop()
    assert log_lines(price.log.read_text())[-1]["message"] == "stopped"
    price.run()


def refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_log_line_and_an_event_carry_the_request(price):
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = price.get("/prices?productIds=1&secret=hunter2", headers={
        "X-Request-Id": "from.outside-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.headers["X-Request-Id"] == "from.outside-1"

    def line():
        found = [entry for entry in log_lines(price.log.read_text())
                 if entry.get("requestId") == "from.outside-1"]
        return found[0] if found else None

    wait.until(line, 10, "the access log")
    assert line()["traceparent"].split("-")[1] == trace
    assert (line()["method"], line()["route"], line()["status"]) == ("GET", "/prices", 200)
    assert line()["bytes"] == 2 and line()["durationUs"] > 0
    assert "hunter2" not in price.log.read_text()  # a query may hold anything


def test_metrics_are_there(price):
    price.get("/prices?productIds=1")
    wait.until(lambda: 'http_requests_total{method="GET",route="/prices",status="200"}'
               in price.get("/metrics").text, 10, "the request to be counted")
    text = price.get("/metrics").text
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                 "process_start_time_seconds", "http_requests_in_flight",
                 'db_pool_connections{state="limit"}', 'build_info{program="price"'):
        assert "\n" + name in text, name
