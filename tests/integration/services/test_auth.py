"""auth: registration, login, refreshing a token, changing the password, looking up a user."""

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import jwt
import pytest
from lib.service import assert_problem

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def auth(start_service):
    # A busy machine may make a hash wait; what that leads to is test_auth_load.py's.
    return start_service("auth", ADMIN_REGISTRATION="open", PASSWORD_HASH_WAIT_MS=30000)


def new_name(prefix="user"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def register(auth, username=None, password=PASSWORD, admin=False, **options):
    path = "/register/init-admin" if admin else "/register/init"
    return auth.post(path, json={"username": username or new_name(), "password": password},
                     **options)


def login(auth, username, password=PASSWORD):
    return auth.post("/login", json={"username": username, "password": password})


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


@pytest.fixture
def user(auth):
    """A fresh user: (id, username, token)."""
    username = new_name()
    response = register(auth, username)
    assert response.status_code == 200, response.text
    return response.json()["id"], username, login(auth, username).json()["token"]


def counted(auth, name):
    """The value of a counter without labels."""
    text = auth.get("/metrics").text
    return float(re.search(rf"^{name}_total (\S+)$", text, re.M).group(1))


# ---- registration ----

@pytest.mark.parametrize("admin, role, event_type", [
    (False, "USER", "user.created"), (True, "ADMIN", "admin.created")])
def test_register(auth, admin, role, event_type):
    username = new_name()
    response = register(auth, username, admin=admin)
    assert response.status_code == 200, response.text
    assert list(response.json()) == ["id"]
    user_id = response.json()["id"]
    [event] = auth.emitted(aggregate_id=user_id)
    assert event["type"] == event_type
    assert event["payload"] == {"userId": user_id, "username": username, "role": role}
    assert event["headers"]["traceparent"]
    assert auth.value("select role from credential where id = %s", (user_id,)) == role


def test_the_password_is_nowhere_to_be_found(auth, user):
    user_id, _, _ = user
    stored = auth.value("select password_hash from credential where id = %s", (user_id,))
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    [event] = auth.emitted(aggregate_id=user_id)
    assert PASSWORD not in str(event) and "argon2" not in str(event)
    assert PASSWORD not in auth.log.read_text() and "argon2id$" not in auth.log.read_text()


@pytest.mark.parametrize("same", [str.upper, str.lower, lambda name: name.replace("u", "\uff55")])
def test_a_taken_username_in_whatever_letters(auth, same):
    username = new_name("User")
    assert register(auth, username).status_code == 200
    events = len(auth.emitted())
    assert_problem(register(auth, same(username)), 409, "username_taken")
    assert len(auth.emitted()) == events


def test_of_parallel_registrations_of_a_name_one_wins(auth):
    username = new_name("race")
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(
            lambda i: register(auth, username if i % 2 else username.upper()), range(8)))
    assert sorted(r.status_code for r in responses) == [200] + [409] * 7
    winner = next(r.json()["id"] for r in responses if r.status_code == 200)
    assert auth.query("select id from credential where username_key = %s", (username,)) \
        == [(winner,)]
    created = [e for e in auth.emitted("user.created")
               if e["payload"]["username"].lower() == username]
    assert [e["key"] for e in created] == [str(winner)]


@pytest.mark.parametrize("body, code, field", [
    (b"", "bad_json", None),
    (b"{", "bad_json", None),
    (b"[]", "bad_json", None),
    (b'"text"', "bad_json", None),
    (b'{"username": "a", "username": "b", "password": "12345678"}', "bad_json", None),
    (b'{"password": "12345678"}', "bad_field", "username"),
    (b'{"username": null, "password": "12345678"}', "bad_field", "username"),
    (b'{"username": 7, "password": "12345678"}', "bad_field", "username"),
    (b'{"username": "", "password": "12345678"}', "bad_field", "username"),
    (b'{"username": " a", "password": "12345678"}', "bad_field", "username"),
    (b'{"username": "a\\u200bb", "password": "12345678"}', "bad_field", "username"),
    (b'{"username": "a\\u0000b", "password": "12345678"}', None, None),
    (b'{"username": "' + b"a" * 101 + b'", "password": "12345678"}', "bad_field", "username"),
    (b'{"username": "' + "😀".encode() * 65 + b'", "password": "12345678"}',
     "bad_field", "username"),
    (b'{"username": "\xff", "password": "12345678"}', None, None),
    (b'{"username": "a"}', "bad_field", "password"),
    (b'{"username": "a", "password": 12345678}', "bad_field", "password"),
    (b'{"username": "a", "password": ["12345678"]}', "bad_field", "password"),
    (b'{"username": "a", "password": "1234567"}', "bad_field", "password"),
    (b'{"username": "a", "password": "' + "ä".encode() * 7 + b'"}', "bad_field", "password"),
    (b'{"username": "a", "password": "' + b"x" * 257 + b'"}', "bad_field", "password"),
])
def test_bad_registrations(auth, body, code, field):
    before = auth.value("select count(*) from credential"), len(auth.emitted())
    for path in ("/register/init", "/register/init-admin"):
        response = auth.post(path, data=body, headers={"Content-Type": "application/json"})
        problem = assert_problem(response, 400, code, field)
        assert "1234567" not in str(problem) and "xxxxxxxx" not in str(problem)
    assert (auth.value("select count(*) from credential"), len(auth.emitted())) == before


def test_a_huge_body_is_refused(auth):
    body = b'{"username": "a", "password": "' + b"x" * 10_000_000 + b'"}'
    assert_problem(auth.post("/register/init", data=body), 413, "payload_too_large")
    assert auth.get("/livez").status_code == 200


@pytest.mark.parametrize("password", ["12345678", "ä" * 8, "😀" * 256, " spaces  kept ",
                                      "quote\"back\\slash", "\u0001control"])
def test_password_lengths_are_counted_in_characters(auth, password):
    username = new_name()
    assert register(auth, username, password).status_code == 200
    assert login(auth, username, password).status_code == 200
    assert login(auth, username, password + "x" if len(password) < 256 else password[1:]) \
        .status_code == 401


def test_sql_in_a_username_is_a_username(auth):
    username = "x'; drop table credential; --" + uuid.uuid4().hex
    assert register(auth, username).status_code == 200
    assert claims_of(login(auth, username).json()["token"])["auth_username"] == username


def test_administrators_can_register_only_where_allowed(pg, issuer, auth):
    from lib.service import Service
    closed = Service("auth", pg, issuer).start()
    try:
        before = auth.value("select count(*) from credential")
        assert_problem(register(closed, admin=True), 403, "registration_closed")
        assert auth.value("select count(*) from credential") == before
        assert register(closed).status_code == 200
    finally:
        closed.stop()


# ---- idempotency keys ----

def test_a_repeated_registration_gets_the_first_answer(auth):
    username, key = new_name(), {"Idempotency-Key": uuid.uuid4().hex}
    first = register(auth, username, headers=key)
    again = register(auth, username, headers=key)
    assert first.status_code == again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = register(auth, username, PASSWORD + "!", headers=key)
    assert_problem(other, 422, "idempotency_mismatch")
    assert len(auth.emitted(aggregate_id=first.json()["id"])) == 1


def test_a_repeated_change_of_password_gets_the_first_answer(auth, user):
    user_id, username, token = user
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"oldPassword": PASSWORD, "newPassword": "another password"}
    first = auth.post("/change-password", token, json=body, headers=key)
    again = auth.post("/change-password", token, json=body, headers=key)
    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert len(auth.emitted("user.passwordchanged", user_id)) == 1
    assert login(auth, username, "another password").status_code == 200


# ---- login ----

def test_login(auth, user):
    user_id, username, _ = user
    before = int(time.time())
    response = login(auth, username)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert sorted(body) == ["code", "expire", "token"] and body["code"] == 200
    claims = claims_of(body["token"])
    assert claims == {
        "auth_id": user_id, "auth_username": username, "auth_role": "USER", "sub": str(user_id),
        "iss": "http://arch.homework", "aud": "http://arch.homework",
        "iat": claims["iat"], "exp": claims["exp"]}
    assert before <= claims["iat"] <= time.time() + 1
    assert before + 3600 <= claims["exp"] <= time.time() + 3600
    expire = datetime.strptime(body["expire"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert expire.timestamp() == claims["exp"]


def test_login_takes_the_username_in_other_case(auth, user):
    _, username, _ = user
    claims = claims_of(login(auth, username.upper()).json()["token"])
    assert claims["auth_username"] == username


def test_unknown_user_and_wrong_password_look_and_cost_the_same(auth, user):
    _, username, _ = user
    answers, costs = [], []
    for name in (username, new_name("nobody")):
        before = counted(auth, "auth_password_hashes")
        response = login(auth, name, "wrong password")
        answer = assert_problem(response, 401, "wrong_credentials")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        costs.append(counted(auth, "auth_password_hashes") - before)
        answers.append({k: v for k, v in answer.items() if k != "requestId"})
    assert costs == [1, 1]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("body, field", [
    ({}, "username"),
    ({"username": "a"}, "password"),
    ({"username": "a", "password": ""}, "password"),
    ({"username": "a", "password": "x" * 257}, "password"),
    ({"username": ["a"], "password": "12345678"}, "username"),
    ({"username": "a" * 101, "password": "12345678"}, "username"),
    ({"username": {"$ne": None}, "password": "12345678"}, "username"),
])
def test_bad_logins(auth, body, field):
    assert_problem(auth.post("/login", json=body), 400, "bad_field", field)


@pytest.mark.parametrize("method, path, allow", [
    ("GET", "/login", "POST"), ("PUT", "/register/init", "POST"),
    ("POST", "/refresh-token", "GET"), ("GET", "/change-password", "POST"),
    ("DELETE", "/users/1", "GET"), ("POST", "/jwk", "GET"), ("POST", "/verify", "GET")])
def test_wrong_methods(auth, method, path, allow):
    response = auth.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert allow in response.headers["Allow"]


# ---- refreshing ----

@pytest.mark.parametrize("admin", [False, True])
def test_refresh(auth, admin):
    username = new_name()
    user_id = register(auth, username, admin=admin).json()["id"]
    first = login(auth, username).json()["token"]
    response = auth.get("/refresh-token", first)
    assert response.status_code == 200, response.text
    old, new = claims_of(first), claims_of(response.json()["token"])
    assert new["sub"] == str(user_id) and new["auth_role"] == old["auth_role"]
    assert new["exp"] >= old["exp"]
    assert auth.get("/refresh-token", response.json()["token"]).status_code == 200


def test_refresh_needs_a_token(auth):
    assert_problem(auth.get("/refresh-token"), 401, "unauthorized")


def test_a_token_of_a_user_who_is_gone_is_not_refreshed(auth, user):
    user_id, _, token = user
    auth.query("delete from credential where id = %s", (user_id,))
    assert_problem(auth.get("/refresh-token", token), 401, "unauthorized")
    body = {"oldPassword": PASSWORD, "newPassword": "another password"}
    assert_problem(auth.post("/change-password", token, json=body), 401, "unauthorized")


# ---- changing the password ----

@pytest.mark.parametrize("admin", [False, True])
def test_change_password(auth, admin):
    username = new_name()
    user_id = register(auth, username, admin=admin).json()["id"]
    token = login(auth, username).json()["token"]
    response = auth.post("/change-password", token,
                         json={"oldPassword": PASSWORD, "newPassword": "another password"})
    assert (response.status_code, response.json()) == (200, {})
    assert login(auth, username).status_code == 401
    fresh = login(auth, username, "another password").json()["token"]
    [event] = auth.emitted("user.passwordchanged", user_id)
    assert event["payload"] == {"userId": user_id}
    # Tokens from before stay valid until they expire, but can't be renewed, however short the time
    # between; the one made right after the change can.
    assert_problem(auth.get("/refresh-token", token), 401, "unauthorized")
    assert auth.get("/refresh-token", fresh).status_code == 200


def test_wrong_old_password(auth, user):
    user_id, username, token = user
    before = auth.query("select * from credential where id = %s", (user_id,))
    response = auth.post("/change-password", token,
                         json={"oldPassword": "wrong password", "newPassword": "another one"})
    assert_problem(response, 403, "wrong_password")
    assert auth.query("select * from credential where id = %s", (user_id,)) == before
    assert auth.emitted("user.passwordchanged", user_id) == []
    assert login(auth, username).status_code == 200


@pytest.mark.parametrize("body, field", [
    ({"newPassword": "another one"}, "oldPassword"),
    ({"oldPassword": PASSWORD}, "newPassword"),
    ({"oldPassword": PASSWORD, "newPassword": "1234567"}, "newPassword"),
    ({"oldPassword": PASSWORD, "newPassword": "x" * 257}, "newPassword"),
    ({"oldPassword": PASSWORD, "newPassword": None}, "newPassword"),
    ({"oldPassword": 1, "newPassword": "another one"}, "oldPassword"),
])
def test_bad_changes_of_password(auth, user, body, field):
    user_id, _, token = user
    assert_problem(auth.post("/change-password", token, json=body), 400, "bad_field", field)
    assert auth.value("select password_version from credential where id = %s", (user_id,)) == 1


def test_of_parallel_changes_of_a_password_one_wins(auth, user):
    user_id, username, token = user
    passwords = [f"new password {i}" for i in range(6)]
    with ThreadPoolExecutor(len(passwords)) as pool:
        responses = list(pool.map(
            lambda new: auth.post("/change-password", token,
                                  json={"oldPassword": PASSWORD, "newPassword": new}), passwords))
    assert sorted(r.status_code for r in responses) == [200] + [403] * 5
    winner = next(p for p, r in zip(passwords, responses) if r.status_code == 200)
    assert login(auth, username, winner).status_code == 200
    assert len(auth.emitted("user.passwordchanged", user_id)) == 1


# ---- looking up ----

def test_user(auth, user):
    user_id, username, token = user
    response = auth.get(f"/users/{user_id}", token)
    assert (response.status_code, response.json()) == (200, {"id": user_id, "username": username})


def test_user_is_for_the_owner_only(auth, user):
    user_id, _, _ = user
    other = new_name()
    register(auth, other)
    admin = new_name()
    register(auth, admin, admin=True)
    assert_problem(auth.get(f"/users/{user_id}"), 401, "unauthorized")
    for name in (other, admin):
        token = login(auth, name).json()["token"]
        assert_problem(auth.get(f"/users/{user_id}", token), 403, "forbidden")


@pytest.mark.parametrize("path_id", ["0", "-1", "x", "9223372036854775808", "1.0", "01"])
def test_bad_path_ids(auth, user, path_id):
    assert_problem(auth.get(f"/users/{path_id}", user[2]), 400, "bad_path_id")
