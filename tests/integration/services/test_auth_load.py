"""auth: a bounded number of hashes at once, changed hash parameters, and a database that goes."""

import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib import process, wait
from lib.pg import Cluster
from lib.service import Service, assert_problem

PASSWORD = "correct horse battery"


@pytest.fixture
def cluster():
    with Cluster() as cluster:
        yield cluster


def register(auth):
    body = {"username": f"user-{uuid.uuid4().hex[:12]}", "password": PASSWORD}
    return body, auth.post("/register/init", json=body)


@pytest.mark.parametrize("name, value", [
    ("ARGON2_MEMORY_KIB", "19455"), ("ARGON2_PASSES", "1"), ("ADMIN_REGISTRATION", "maybe"),
    ("JWT_TTL_S", "0"), ("PASSWORD_HASHES_AT_ONCE", "0")])
def test_settings_have_floors(name, value):
    done = subprocess.run([process.binary("auth")], capture_output=True, text=True, timeout=20,
                          env={"DATABASE_URL": "dbname=none", name: value}, check=False)
    assert done.returncode == 2
    assert name in done.stderr and len(done.stderr.splitlines()) == 1


def test_only_so_many_hashes_at_once(start_service):
    """Each hash takes many times the wait for a turn, so of many at once most are told to wait."""
    auth = start_service("auth", PASSWORD_HASHES_AT_ONCE=1, PASSWORD_HASH_WAIT_MS=10,
                         ARGON2_MEMORY_KIB=65536, ARGON2_PASSES=4)
    body, response = register(auth)
    assert response.status_code == 200
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: auth.post("/login", json=body), range(8)))
    busy = [r for r in responses if r.status_code == 503]
    assert {r.status_code for r in responses} <= {200, 503}
    assert busy and len(busy) < len(responses)
    for response in busy:
        assert_problem(response, 503, "busy")
        assert int(response.headers["Retry-After"]) >= 1
    assert auth.post("/login", json=body).status_code == 200


def test_changed_parameters_rehash_at_login(pg, start_service):
    auth = start_service("auth")
    body, _ = register(auth)

    def stored():
        return auth.query("select password_hash, password_version, password_changed_at"
                          " from credential where username = %s", (body["username"],))[0]

    first = stored()
    assert "$m=19456,t=2,p=1$" in first[0]
    stronger = Service("auth", pg, ARGON2_PASSES=3).run()
    try:
        assert stronger.post("/login", json={**body, "password": "wrong one"}).status_code == 401
        assert stored() == first
        token = stronger.post("/login", json=body).json()["token"]
        second = stored()
        assert "$m=19456,t=3,p=1$" in second[0]
        assert second[1:] == first[1:]  # not a change of password: tokens stay good
        assert stronger.get("/refresh-token", token).status_code == 200
        stronger.post("/login", json=body)
        assert stored() == second
    finally:
        stronger.stop()
    assert auth.post("/login", json=body).status_code == 200


def test_a_database_that_goes_and_comes_back(cluster):
    auth = Service("auth", cluster, DB_ACQUIRE_TIMEOUT_MS=500, JWT_KEY_RELOAD_S=1).start()
    try:
        body, _ = register(auth)
        token = auth.post("/login", json=body).json()["token"]
        cluster.halt()
        for response in (auth.post("/login", json=body), register(auth)[1],
                         auth.get("/refresh-token", token)):
            assert_problem(response, 503, "unavailable")
            assert response.headers["Retry-After"]
        # What needs no database goes on.
        assert auth.get("/verify", token, headers={"X-Required-Role": "USER"}).status_code == 200
        assert auth.get("/jwk").status_code == 200
        cluster.start()
        wait.until(lambda: auth.post("/login", json=body).status_code == 200, what="a login")
    finally:
        auth.stop()


def test_starting_before_the_database(cluster):
    auth = Service("auth", cluster, DB_ACQUIRE_TIMEOUT_MS=500, JWT_KEY_RELOAD_S=1).init()
    cluster.halt()
    auth.run(ready=False)
    try:
        wait.until(lambda: auth.get("/livez").status_code == 200, what="auth to live")
        assert_problem(auth.get("/jwk"), 503, "unavailable")
        assert auth.get("/readyz").status_code == 503
        cluster.start()
        wait.until(lambda: auth.get("/readyz").status_code == 200, what="auth to be ready")
        assert auth.get("/jwk").status_code == 200
    finally:
        auth.stop()
