"""user-profile: the empty profile by event, reading and changing it."""

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib.events import event
from lib.service import assert_problem

FULL = {"firstName": "Anna", "lastName": "Ахматова", "email": "anna@example.org",
        "phone": "+7 (812) 123-45-67"}
EMPTY = {"firstName": "", "lastName": "", "email": "", "phone": ""}

user_ids = itertools.count(1)


@pytest.fixture(scope="module")
def service(start_service):
    return start_service("user-profile")


@pytest.fixture
def user(service, issuer):
    """A fresh user without a profile yet: (id, token)."""
    user_id = next(user_ids)
    return user_id, issuer.token(user_id)


def path(user_id):
    return f"/profiles/by-user-id/{user_id}"


def created(user_id, **data):
    return event("user.created", user_id,
                 {"userId": user_id, "username": "someone", "role": "USER", **data}, "/auth")


def read(service, user):
    response = service.get(path(user[0]), user[1])
    assert response.status_code == 200, response.text
    return response.json()


def change(service, user, **fields):
    return service.post(path(user[0]), user[1], json=fields)


# ---- by event ----

def test_a_new_user_gets_an_empty_profile(service, user):
    assert_problem(service.get(path(user[0]), user[1]), 404, "not_found")
    service.events.deliver(created(user[0]))
    profile = read(service, user)
    assert profile == {"profileId": profile["profileId"], "userId": user[0], **EMPTY}
    assert service.emitted(aggregate_id=user[0]) == []


def test_the_event_twice_and_late_changes_nothing(service, user):
    once = created(user[0])
    service.events.deliver(once)
    assert change(service, user, **FULL).status_code == 200
    service.events.deliver(once)
    service.events.deliver(created(user[0]))  # another event of the same kind
    assert read(service, user).items() >= FULL.items()


def test_a_batch_of_new_users(service, issuer):
    ids = [next(user_ids) for _ in range(50)]
    service.events.deliver(*[created(user_id) for user_id in ids])
    for user_id in ids:
        assert read(service, (user_id, issuer.token(user_id)))["userId"] == user_id


@pytest.mark.parametrize("user_id", [None, 0, -1, "7", 1.5])
def test_an_event_that_makes_no_sense_is_refused_for_good(service, user_id):
    response = service.events.post(created(1, userId=user_id))
    assert response.status_code == 422
    assert "userId" in response.text


def test_a_number_beyond_64_bits_is_bad_json(service):
    assert_problem(service.events.post(created(1, userId=2**63)), 400)


def test_other_events_are_ignored(service):
    before = service.value("select count(*) from profile")
    service.events.deliver(event("admin.created", 999999, {"userId": 999999}, "/auth"))
    assert service.value("select count(*) from profile") == before


def test_a_callback_must_be_signed(service, user):
    before = service.value("select count(*) from profile")
    for headers in ({"webhook-signature": None}, {"webhook-signature": "v1,AAAA"},
                    {"webhook-timestamp": "1"}, {"webhook-id": None}):
        response = service.events.post(created(user[0]), headers=headers)
        assert response.status_code in (400, 401, 403), response.text
    assert service.value("select count(*) from profile") == before


# ---- changing ----

def test_change(service, user):
    service.events.deliver(created(user[0]))
    response = change(service, user, **FULL)
    assert response.status_code == 200, response.text
    profile = read(service, user)
    assert profile == {"profileId": profile["profileId"], "userId": user[0], **FULL}
    [emitted] = service.emitted(aggregate_id=user[0])
    assert response.json() == {"eventId": emitted["id"]}
    assert emitted["type"] == "user.profilechanged"
    assert emitted["payload"] == {**profile, "version": 2}


def test_a_change_may_come_before_the_event(service, user):
    assert change(service, user, firstName="Early").status_code == 200
    service.events.deliver(created(user[0]))
    assert read(service, user)["firstName"] == "Early"
    [emitted] = service.emitted(aggregate_id=user[0])
    assert emitted["payload"]["version"] == 1


def test_what_is_not_given_stays_and_empty_clears(service, user):
    change(service, user, **FULL)
    assert change(service, user, lastName=None, email="").status_code == 200
    assert read(service, user).items() >= {**FULL, "email": ""}.items()
    assert change(service, user, phone="112", unknown={"ignored": True}).status_code == 200
    assert read(service, user).items() >= {**FULL, "email": "", "phone": "112"}.items()
    versions = [e["payload"]["version"] for e in service.emitted(aggregate_id=user[0])]
    assert versions == [1, 2, 3]


def test_parallel_changes_all_count(service, user):
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(
            lambda i: change(service, user, firstName=f"name {i}"), range(16)))
    assert {r.status_code for r in responses} == {200}
    emitted = service.emitted(aggregate_id=user[0])
    assert [e["payload"]["version"] for e in emitted] == list(range(1, 17))
    assert read(service, user)["firstName"] == emitted[-1]["payload"]["firstName"]


def test_a_repeat_with_an_idempotency_key(service, user):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = service.post(path(user[0]), user[1], json=FULL, headers=headers)
    again = service.post(path(user[0]), user[1], json=FULL, headers=headers)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert len(service.emitted(aggregate_id=user[0])) == 1
    other = service.post(path(user[0]), user[1], json=EMPTY, headers=headers)
    assert_problem(other, 422, "idempotency_mismatch")


@pytest.mark.parametrize("body, field", [
    ({"firstName": 1}, "firstName"),
    ({"firstName": ["a"]}, "firstName"),
    ({"firstName": "x" * 101}, "firstName"),
    ({"lastName": "a\nb"}, "lastName"),
    ({"lastName": "😀" * 101}, "lastName"),
    ({"email": "nobody"}, "email"),
    ({"email": "a@b@c"}, "email"),
    ({"email": "x" * 250 + "@b.org"}, "email"),
    ({"email": True}, "email"),
    ({"phone": "call me"}, "phone"),
    ({"phone": "1" * 33}, "phone"),
    ({"phone": 112}, "phone"),
])
def test_bad_fields(service, user, body, field):
    response = service.post(path(user[0]), user[1], json={**FULL, **body})
    assert_problem(response, 400, "bad_field", field)
    assert service.query("select 1 from profile where user_id = %s", (user[0],)) == []
    assert service.emitted(aggregate_id=user[0]) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"firstName": "a\\u0000"}',
                                  b'{"firstName": "\xff"}', b"{}", b'{"phone": null}'])
def test_bad_bodies(service, user, body):
    assert_problem(service.post(path(user[0]), user[1], data=body), 400)
    assert service.query("select 1 from profile where user_id = %s", (user[0],)) == []


def test_lengths_are_counted_in_characters(service, user):
    assert change(service, user, firstName="😀" * 100).status_code == 200


# ---- access ----

def test_a_profile_is_for_its_owner_only(service, user, issuer):
    change(service, user, **FULL)
    for method in ("GET", "POST"):
        def ask(token, method=method):
            return service.request(method, path(user[0]), token, json=EMPTY)
        assert_problem(ask(None), 401, "unauthorized")
        assert_problem(ask(issuer.token(user[0] + 1000)), 403, "forbidden")
        assert_problem(ask(issuer.admin(user[0])), 403, "forbidden")
        assert_problem(ask(issuer.token(user[0], expires_in_s=-600)), 401, "unauthorized")
    assert read(service, user).items() >= FULL.items()


@pytest.mark.parametrize("user_id", ["0", "-1", "x", "9223372036854775808", "1e3"])
def test_bad_path_ids(service, issuer, user_id):
    assert_problem(service.get(path(user_id), issuer.token(1)), 400, "bad_path_id")


def test_wrong_method(service, user):
    response = service.request("DELETE", path(user[0]), user[1])
    assert_problem(response, 405, "method_not_allowed")
    assert {"GET", "POST"} <= {m.strip() for m in response.headers["Allow"].split(",")}
