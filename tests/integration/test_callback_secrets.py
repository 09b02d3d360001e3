"""A callback's secret may be bound to the source of the events that it signs."""

import itertools
import subprocess

import pytest
from lib import process
from lib.events import Poster, event, new_secret
from lib.service import assert_problem

user_ids = itertools.count(1)


@pytest.fixture(scope="module")
def secrets():
    return {name: new_secret() for name in ("auth", "other", "any", "unknown")}


@pytest.fixture(scope="module")
def service(start_service, secrets):
    return start_service("user-profile", WEBHOOK_SECRETS=(
        f"auth={secrets['auth']} other={secrets['other']},{secrets['any']}"))


def created(source):
    user_id = next(user_ids)
    return user_id, event("user.created", user_id,
                          {"userId": user_id, "username": "someone", "role": "USER"}, source)


def profiles(service, *ids):
    return [i for (i,) in service.query(
        "select user_id from profile where user_id = any(%s) order by 1", (list(ids),))]


@pytest.mark.parametrize("name", ["auth", "any"])
def test_its_own_source_is_taken(service, secrets, name):
    user_id, message = created("/auth")
    Poster(service.url, secrets[name]).deliver(message)
    assert profiles(service, user_id) == [user_id]


@pytest.mark.parametrize("source", ["/auth", "/auth/", "auth", "/AUTH", "/others", "other", "/"])
def test_another_source_is_refused(service, secrets, source):
    user_id, message = created(source)
    response = Poster(service.url, secrets["other"]).post(message)
    assert_problem(response, 403, "bad_source")
    assert profiles(service, user_id) == []


def test_one_foreign_event_refuses_the_batch(service, secrets):
    first, own = created("/auth")
    second, foreign = created("/other")
    assert_problem(Poster(service.url, secrets["auth"]).post(own, foreign), 403, "bad_source")
    assert profiles(service, first, second) == []


def test_an_unknown_secret_is_refused(service, secrets):
    user_id, message = created("/auth")
    assert_problem(Poster(service.url, secrets["unknown"]).post(message), 401, "bad_signature")
    assert profiles(service, user_id) == []


@pytest.mark.parametrize("text", [
    "", "x", "whsec_", "whsec_AAAA", "auth=", "=SECRET", "authSECRET", "auth:SECRET",
    "SECRET auth=x", "a" * 70 + "=SECRET"])
def test_malformed_secrets_stop_the_start(text, secrets):
    done = subprocess.run(
        [process.binary("user-profile")], capture_output=True, text=True, timeout=20, check=False,
        env={"DATABASE_URL": "dbname=none", "JWKS_URL": "http://127.0.0.1:9/jwk",
             "WEBHOOK_SECRETS": text.replace("SECRET", secrets["any"])})
    assert done.returncode == 2
    assert "WEBHOOK_SECRETS" in done.stderr
    assert secrets["any"] not in done.stderr
