"""auth: what /verify and the routes make of tokens, and the life of the signing keys."""

import base64
import hashlib
import hmac
import json
import string
import time
import uuid

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from lib import wait
from lib.service import Service, assert_problem
from lib.tokens import ISSUER, Key

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def auth(start_service):
    return start_service("auth", ADMIN_REGISTRATION="open", JWT_KEY_RELOAD_S=1)


def make_user(auth, admin=False):
    """A fresh user: (id, token)."""
    username = f"user-{uuid.uuid4().hex[:12]}"
    body = {"username": username, "password": PASSWORD}
    path = "/register/init-admin" if admin else "/register/init"
    user_id = auth.post(path, json=body).json()["id"]
    return user_id, auth.post("/login", json=body).json()["token"]


@pytest.fixture(scope="module")
def user(auth):
    return make_user(auth)


@pytest.fixture(scope="module")
def admin(auth):
    return make_user(auth, admin=True)


def jwks(auth):
    response = auth.get("/jwk")
    assert response.status_code == 200
    return {key["kid"]: key for key in response.json()["keys"]}


def public_key(auth, kid):
    return jwt.PyJWK.from_dict(jwks(auth)[kid]).key


def verify(auth, token, role="ANY", **headers):
    return auth.get("/verify", token, headers={"X-Required-Role": role, **headers})


def private_key(auth):
    kid, pem = auth.query("select kid, private_key from signing_key"
                          " where signs_from <= now() order by signs_from desc limit 1")[0]
    return kid, serialization.load_pem_private_key(pem.encode(), None)


def signed(auth, headers=None, **changes):
    """A token signed by the service's own key, with claims replaced (None: left out)."""
    kid, key = private_key(auth)
    now = int(time.time())
    claims = {"auth_id": 1, "auth_username": "someone", "auth_role": "USER", "sub": "1",
              "iss": ISSUER, "aud": ISSUER, "iat": now, "exp": now + 600, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, "RS256", {"kid": kid, **(headers or {})})


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def next_letter(letter):
    """The same leading bits, another trailing one: what a lax base64 decoder takes for the same."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return letters[letters.index(letter) ^ 1]


# ---- the token and its key ----

def test_tokens_verify_by_the_published_key(auth, user):
    header = jwt.get_unverified_header(user[1])
    assert header["alg"] == "RS256"
    claims = jwt.decode(user[1], public_key(auth, header["kid"]), ["RS256"], audience=ISSUER,
                        issuer=ISSUER)
    assert claims["sub"] == str(user[0])


def test_the_key_id_is_the_thumbprint(auth):
    for kid, key in jwks(auth).items():
        canonical = json.dumps({"e": key["e"], "kty": "RSA", "n": key["n"]}, separators=(",", ":"))
        assert kid == base64url(hashlib.sha256(canonical.encode()).digest())
        assert sorted(key) == ["alg", "e", "kid", "kty", "n", "use"]
        assert len(base64.urlsafe_b64decode(key["n"] + "==")) == 256


# ---- /verify ----

@pytest.mark.parametrize("role, user_status, admin_status", [
    ("ANY", 200, 200), ("USER", 200, 403), ("ADMIN", 403, 200)])
def test_verify_roles(auth, user, admin, role, user_status, admin_status):
    for (user_id, token), status, own in ((user, user_status, "USER"),
                                          (admin, admin_status, "ADMIN")):
        response = verify(auth, token, role)
        assert response.status_code == status
        if status == 200:
            assert response.headers["X-Auth-Sub"] == str(user_id)
            assert response.headers["X-Auth-Role"] == own
            expected = jwt.decode(token, options={"verify_signature": False})["exp"]
            assert response.headers["X-Auth-Exp"] == str(expected)
        else:
            assert_problem(response, 403, "forbidden")
            assert "X-Auth-Sub" not in response.headers


@pytest.mark.parametrize("role", [None, "", "user", "ROOT", "USER,ADMIN"])
def test_verify_insists_on_a_known_role(auth, user, role):
    headers = {} if role is None else {"X-Required-Role": role}
    assert_problem(auth.get("/verify", user[1], headers=headers), 400, "bad_header")


def forged_tokens(auth, user):
    """name -> a token that must be refused."""
    kid, _ = private_key(auth)
    head, body, signature = user[1].split(".")
    pem = public_key(auth, kid).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    foreign = Key(kid)
    now = int(time.time())

    def hmac_signed(algorithm, secret):
        header = base64url(json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode())
        text = f"{header}.{body}"
        return f"{text}.{base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def with_header(**header):
        return f"{base64url(json.dumps(header).encode())}.{body}"

    def with_body(**changes):
        claims = {**jwt.decode(user[1], options={"verify_signature": False}), **changes}
        return f"{head}.{base64url(json.dumps(claims).encode())}.{signature}"

    return {
        "none": with_header(alg="none", kid=kid) + ".",
        "None": with_header(alg="None", kid=kid) + ".",
        "NONE with a signature": with_header(alg="NONE", kid=kid) + "." + signature,
        "no algorithm": with_header(kid=kid) + "." + signature,
        "HS256 with the public key": hmac_signed("HS256", pem),
        "HS256 with the public key, stripped": hmac_signed("HS256", pem.strip()),
        "HS256 with the modulus": hmac_signed("HS256", jwks(auth)[kid]["n"].encode()),
        "HS256 with an empty secret": hmac_signed("HS256", b""),
        "RS256 said, HMAC made": hmac_signed("RS256", pem),
        "another key, same kid": jwt.encode(
            {"sub": "1", "auth_role": "ADMIN", "auth_username": "x", "iss": ISSUER, "aud": ISSUER,
             "iat": now, "exp": now + 600}, foreign.private, "RS256", {"kid": kid}),
        "a key of its own in the header": jwt.encode(
            {"sub": "1", "auth_role": "ADMIN", "auth_username": "x", "iss": ISSUER, "aud": ISSUER,
             "iat": now, "exp": now + 600}, foreign.private, "RS256",
            {"kid": foreign.kid + "x", "jwk": foreign.jwk(), "jku": "http://127.0.0.1:1/"}),
        "no kid": jwt.encode({"sub": "1"}, private_key(auth)[1], "RS256"),
        "unknown kid": signed(auth, headers={"kid": "unknown"}),
        "kid with a path": signed(auth, headers={"kid": "../../../../dev/null"}),
        "RS384": jwt.encode({"sub": "1"}, private_key(auth)[1], "RS384", {"kid": kid}),
        "PS256": jwt.encode({"sub": "1"}, private_key(auth)[1], "PS256", {"kid": kid}),
        "critical extension": signed(auth, headers={"crit": ["exp"]}),
        "changed subject": with_body(sub="1"),
        "changed role": with_body(auth_role="ADMIN"),
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": user[1] + ".x",
        "one part": head,
        "cut signature": user[1][:-4],
        "garbage": "garbage",
        "dots": "..",
        "long": "a" * 20000,
        "padding": user[1] + "==",
        "another spelling of the signature": user[1][:-1] + next_letter(user[1][-1]),
        "standard base64": user[1].replace("-", "+").replace("_", "/") + "=",
        "white space": user[1] + " x",
        "expired": signed(auth, iat=now - 7200, exp=now - 3600),
        "no expiry": signed(auth, exp=None),
        "expiry as text": signed(auth, exp=str(now + 600)),
        "not yet valid": signed(auth, nbf=now + 3600),
        "issued in the future": signed(auth, iat=now + 3600, exp=now + 7200),
        "other issuer": signed(auth, iss="http://evil.example"),
        "no issuer": signed(auth, iss=None),
        "other audience": signed(auth, aud="http://evil.example"),
        "no audience": signed(auth, aud=None),
        "subject zero": signed(auth, sub="0"),
        "negative subject": signed(auth, sub="-1"),
        "subject with a path": signed(auth, sub="1/../2"),
        "subject out of range": signed(auth, sub="9223372036854775808"),
        "no subject": signed(auth, sub=None),
        "unknown role": signed(auth, auth_role="ROOT"),
        "no role": signed(auth, auth_role=None),
    }


def test_forged_tokens_are_refused(auth, user):
    assert verify(auth, signed(auth)).status_code == 200  # the forger's tool does work
    for name, token in forged_tokens(auth, user).items():
        for response in (verify(auth, token), auth.get("/refresh-token", token),
                         auth.get(f"/users/{user[0]}", token)):
            assert response.status_code == 401 or (name == "long" and response.status_code in
                                                   (400, 401, 413, 431)), f"{name}: {response.text}"
            assert "X-Auth-Sub" not in response.headers, name
    assert verify(auth, user[1]).status_code == 200


@pytest.mark.parametrize("authorization", [
    "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer  ", "Token x", "bearer"])
def test_other_authorizations_are_refused(auth, authorization):
    response = auth.get("/verify", headers={"X-Required-Role": "ANY",
                                            "Authorization": authorization})
    assert_problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# ---- keys ----

def signing_kid(auth):
    return jwt.get_unverified_header(make_user(auth)[1])["kid"]


def test_keys_rotate_without_a_restart_and_old_tokens_stay_good(auth):
    _, token = make_user(auth)
    old = jwt.get_unverified_header(token)["kid"]
    assert auth.value("select rotate_signing_key()") == old
    # Published first ...
    new = wait.until(lambda: next(iter(jwks(auth).keys() - {old}), None), what="a second key")
    # ... then signing, while the old one still verifies.
    wait.until(lambda: signing_kid(auth) == new, what="the second key to sign")
    assert set(jwks(auth)) == {old, new}
    assert verify(auth, token).status_code == 200
    # Once its last token has expired, the old key goes.
    auth.query("update signing_key set signs_from = signs_from - interval '2 days'")
    wait.until(lambda: set(jwks(auth)) == {new}, what="the old key to go")
    assert_problem(verify(auth, token), 401, "unauthorized")
    assert auth.value("select count(*) from signing_key") == 1


def test_a_key_gets_a_successor_with_age(auth):
    old = signing_kid(auth)
    auth.query("update signing_key set signs_from = now() - interval '89 days'")
    assert set(jwks(auth)) == {old}
    auth.query("update signing_key set signs_from = now() - interval '91 days'")
    wait.until(lambda: signing_kid(auth) != old, what="the successor to sign")
    assert auth.value("select count(*) from signing_key") == 2


def test_a_deleted_key_voids_its_tokens(auth):
    _, token = make_user(auth)
    auth.query("delete from signing_key")
    wait.until(lambda: verify(auth, token).status_code == 401, what="the token to be refused")
    _, token = wait.until(lambda: make_user(auth), what="a login with a new key")
    assert verify(auth, token).status_code == 200


def test_replicas_share_one_key(pg, auth):
    """Replicas that start on an empty table, all at once, agree on a key."""
    pg.query("auth", "delete from signing_key")
    replicas = [Service("auth", pg, JWT_KEY_RELOAD_S=1) for _ in range(3)]
    try:
        for replica in replicas:
            replica.run(ready=False)
        published = [wait.until(lambda r=replica: jwks(r), what="a key") for replica in replicas]
        assert published[0] == published[1] == published[2]
        assert pg.value("auth", "select count(*) from signing_key") == 1
        _, token = make_user(replicas[0])
        for replica in replicas:
            assert verify(replica, token).status_code == 200
    finally:
        for replica in replicas:
            replica.stop()


def test_init_twice_keeps_the_key(pg, auth):
    before = pg.query("auth", "select kid from signing_key order by kid")
    Service("auth", pg).init()
    Service("auth", pg).init()
    assert pg.query("auth", "select kid from signing_key order by kid") == before


def test_private_keys_show_nowhere(auth):
    text = requests.get(auth.url + "/jwk", timeout=5).text + auth.log.read_text()
    assert "PRIVATE" not in text and '"d"' not in text
