"""scripts/stack: what a person at a terminal, and a script, can rely on."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from lib import process, wait

STACK = process.ROOT / "scripts/stack"
CLUSTER = process.ROOT / "scripts/pg-cluster"
PORT_VARIABLES = ("PG_PORT", "GATEWAY_PORT", "RELAY_PORT", "AUTH_PORT", "USER_PROFILE_PORT",
                  "BILLING_PORT", "ORDER_PORT", "NOTIFICATION_PORT", "PRODUCT_PORT", "PRICE_PORT")


def run(command, **variables):
    """Returns exit status, standard output and standard error."""
    environment = {k: v for k, v in os.environ.items() if k not in PORT_VARIABLES}
    done = subprocess.run([str(word) for word in command], env={**environment, **variables}, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=180, check=False)
    return done.returncode, done.stdout, done.stderr


def stack(*arguments, **variables):
    return run([STACK, *arguments], **variables)


def assert_complaint(result, *words):
    """One line on standard error that has the words, and nothing started."""
    status, _, errors = result
    assert status != 0
    assert errors.count("\n") == 1, errors
    assert all(word in errors for word in words), errors


def settings(run_dir):
    _, output, _ = stack("--run-dir", run_dir, "env")
    return dict(line.removeprefix("export ").split("=", 1) for line in output.replace("'", "").splitlines())


def pid_of(run_dir, part):
    return int((run_dir / "pid" / part).read_text().split()[0])


@pytest.fixture(scope="module", name="running")
def _running():
    """A stack of its own, as `make up FREE_PORTS=yes RUN_DIR=…` gives, where other users may look."""
    run_dir = process.directory("stack")
    run_dir.chmod(0o755)
    status, output, errors = stack("--run-dir", run_dir, "--free-ports", "up")
    assert status == 0, output + errors
    yield run_dir
    assert stack("--run-dir", run_dir, "wipe")[0] == 0
    assert not run_dir.exists()


def test_all_parts_are_ready(running):
    status, output, _ = stack("--run-dir", running, "status")
    rows = [line.split() for line in output.splitlines()[1:]]
    assert status == 0
    assert len(rows) == 10 and all(row[1] == "ready" for row in rows), output
    assert requests.get(settings(running)["GATEWAY_URL"] + "/products/1", timeout=10).ok


def test_a_second_up_starts_nothing(running):
    before = pid_of(running, "order")
    status, output, _ = stack("--run-dir", running, "up")
    assert (status, pid_of(running, "order")) == (0, before)
    assert "Already running" in output


def test_up_starts_what_is_missing_where_it_was(running):
    before = settings(running)
    killed, kept = pid_of(running, "order"), pid_of(running, "billing")
    os.kill(killed, signal.SIGKILL)
    wait.until(lambda: stack("--run-dir", running, "status")[0] != 0, 20, "status tells")
    status, output, errors = stack("--run-dir", running, "--free-ports", "up")
    assert status == 0, output + errors
    assert settings(running) == before
    assert pid_of(running, "billing") == kept and pid_of(running, "order") != killed
    assert requests.get(before["ORDER_URL"] + "/readyz", timeout=10).ok


def test_data_survives_down_and_up(running):
    url = settings(running)["GATEWAY_URL"]
    user = {"username": "survivor", "password": "password-1"}
    assert requests.post(url + "/register/init", json=user, timeout=10).ok
    assert stack("--run-dir", running, "down")[0] == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/health", timeout=10)
    assert "Nothing is running" in stack("--run-dir", running, "down")[1]
    assert stack("--run-dir", running, "up")[0] == 0
    assert settings(running)["GATEWAY_URL"] == url
    assert requests.post(url + "/login", json=user, timeout=10).ok


def test_a_login_reaches_its_own_database_only(running):
    assert stack("--run-dir", running, "psql", "order", "-Atc", "select current_user")[1] == "order\n"
    dsn = settings(running)["ORDER_DSN"]
    for database in ("billing", "auth", "postgres", "template1"):
        done = subprocess.run(
            ["psql", dsn.replace("dbname=order", f"dbname={database}"), "-c", "select 1"], text=True,
            capture_output=True, check=False)
        assert "permission denied for database" in done.stderr


def test_secrets_are_nobody_elses(running):
    files = [running / "pgpass", *(running / "secrets").iterdir()]
    assert len(files) > 15
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert (running / "secrets").stat().st_mode & 0o077 == 0
    secrets = [file.read_text().strip() for file in files if file.name.startswith("role.")]
    for process_directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (process_directory / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        assert not any(secret in command for secret in secrets)


def test_a_foreign_process_is_never_stopped(tmp_path):
    """Its pid is in a pid file of ours, as after a reboot, but it did not start when ours did."""
    bystander = process.start([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        for directory in ("pid", "log", "secrets"):
            (tmp_path / directory).mkdir()
        (tmp_path / "pid/order").write_text(f"{bystander.pid} 1\n")
        status, output, _ = stack("--run-dir", tmp_path, "down")
        assert status == 0 and "Nothing is running" in output
        assert bystander.poll() is None
    finally:
        process.stop(bystander)


def test_a_taken_port_is_named_with_its_variable(tmp_path):
    ports = {name: str(process.free_port()) for name in PORT_VARIABLES}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports["ORDER_PORT"] = str(taken.getsockname()[1])
        assert_complaint(stack("--run-dir", tmp_path / "run", "up", **ports), "ORDER_PORT",
                         ports["ORDER_PORT"])
    assert not (tmp_path / "run/pg-home").exists()


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "80 81"])
def test_a_bad_port_is_named_with_its_variable(tmp_path, value):
    assert_complaint(stack("--run-dir", tmp_path / "run", "up", AUTH_PORT=value), "AUTH_PORT", value)


@pytest.mark.parametrize("directory", ["/proc/shop", "/dev/null/shop", "/tmp/a b"])
def test_an_impossible_directory_is_named_with_its_variable(directory):
    assert_complaint(stack("--run-dir", directory, "up"), "RUN_DIR", directory)


def test_a_missing_program_is_named_with_its_remedy(tmp_path):
    run_dir = tmp_path / "run"
    assert_complaint(stack("--run-dir", run_dir, "up", BIN=str(tmp_path)), str(tmp_path / "auth"), "make")
    assert_complaint(stack("--run-dir", run_dir, "up", NGINX="no-nginx"), "nginx", "make deps")
    assert_complaint(stack("--run-dir", run_dir, "up", PG_BIN=str(tmp_path)), "PG_BIN", "initdb")


@pytest.mark.parametrize("arguments,word", [
    ((), "expected"), (("frobnicate",), "expected"), (("--run-dir", "/tmp/none-here", "status"), "make up")])
def test_wrong_use(arguments, word):
    assert_complaint(stack(*arguments), word)


# ---- Whether the server runs ----
# Root's server runs as user postgres, whose processes not even root can look into everywhere.

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="as any other user, the server is the caller's own")

# As an ordinary container gives it: root, but not the right to trace.
UNTRACED = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
# Where nobody can see, or may stop, the server.
BLIND = {
    "another user": ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"],
    "another container": ["unshare", "--pid", "--fork", "--mount-proc"],
}


def assert_server_runs(run_dir):
    assert run(["psql", settings(run_dir)["ORDER_DSN"], "-Atc", "select 1"])[:2] == (0, "1\n")


@as_root
@pytest.mark.parametrize("command,said", [("status", "postgres      ready"), ("up", "Already running")])
def test_the_server_is_known_to_run_without_the_right_to_trace(running, command, said):
    status, output, errors = run([*UNTRACED, STACK, "--run-dir", running, command])
    assert (status, errors) == (0, "") and said in output


@as_root
@pytest.mark.parametrize("command", ["status", "up", "down", "wipe"])
@pytest.mark.parametrize("view", BLIND)
def test_a_server_that_cannot_be_seen_is_left_alone(running, view, command):
    if run([*BLIND[view], STACK, "--help"])[0] != 0:
        pytest.skip(f"{' '.join(BLIND[view])} is not allowed here")
    before = pid_of(running, "order")
    result = run([*BLIND[view], STACK, "--run-dir", running, command])
    assert_complaint(result, str(running))
    assert "stopped" not in [line.split()[1] for line in result[1].splitlines() if line.startswith("postgres")]
    assert_server_runs(running)
    assert pid_of(running, "order") == before and Path(f"/proc/{before}").exists()


@pytest.fixture(name="cluster")
def _cluster():
    """The directory of a running cluster."""
    directory = process.directory("cluster")
    status, output, errors = run([CLUSTER, "start", directory])
    assert status == 0, output + errors
    yield directory
    if directory.exists():
        assert run([CLUSTER, "drop", directory])[0] == 0


def pid_file(cluster):
    return Path((cluster / "pg-home").read_text().strip()) / "data/postmaster.pid"


def has_ended(pid):
    """Also when its parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@as_root
@pytest.mark.parametrize("wrapper,variables", [(UNTRACED, {}), ([], {"PG_USER": "nobody"})])
def test_a_running_server_is_stopped_before_its_data_goes(cluster, wrapper, variables):
    server = int(pid_file(cluster).read_text().split()[0])
    assert not has_ended(server)
    assert run([*wrapper, CLUSTER, "env", cluster], **variables)[0] == 0
    assert run([*wrapper, CLUSTER, "drop", cluster], **variables) == (0, "", "")
    wait.until(lambda: has_ended(server), 10, "the server to end")
    assert not cluster.exists()


@pytest.mark.parametrize("ended", [False, True])
def test_a_pid_that_is_another_programs_by_now_is_no_server(cluster, ended):
    file = pid_file(cluster)
    user = ["setpriv", "--reuid", file.owner(), "--regid", file.group(), "--clear-groups"]
    assert run([CLUSTER, "stop", cluster, "immediate"])[0] == 0
    bystander = process.start([*(user if os.geteuid() == 0 else []), sys.executable, "-c", "input()"],
                              stdin=subprocess.PIPE, cwd="/")
    try:
        file.write_text(f"{bystander.pid}\n{file.parent}\n0\n1\n/nowhere\n")
        if ended:
            bystander.kill()
            wait.until(lambda: has_ended(bystander.pid), 10, "the bystander to end")
        assert_complaint(run([CLUSTER, "env", cluster]), "is not running")
        assert run([CLUSTER, "drop", cluster])[0] == 0
        assert ended or bystander.poll() is None
    finally:
        process.stop(bystander)


def test_data_stays_where_the_servers_own_tool_cannot_tell(cluster):
    file = pid_file(cluster)
    assert run([CLUSTER, "stop", cluster])[0] == 0
    file.write_text("")
    assert_complaint(run([CLUSTER, "drop", cluster]), "can't tell", "postmaster.pid")
    assert (file.parent / "PG_VERSION").exists()
    file.unlink()
