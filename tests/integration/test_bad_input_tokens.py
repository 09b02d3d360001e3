"""Tokens that must not open any door, at the gateway and at each service behind it."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
import requests

from lib.service import assert_problem
from lib.client import ok, shop_at
from lib.tokens import Key

HOST = "http://arch.homework"

USER_ROUTES = [
    ("GET", "/me/profile"), ("POST", "/me/profile"), ("POST", "/me/add-money"),
    ("GET", "/me/bills"), ("GET", "/me/bills/1"), ("POST", "/me/bills/1/confirm"),
    ("POST", "/me/orders"),
    ("GET", "/me/orders"), ("GET", "/me/orders/1"), ("POST", "/me/orders/1/add-items"),
    ("POST", "/me/orders/1/remove-items"), ("POST", "/me/orders/1/confirm"),
    ("POST", "/me/orders/1/reject"), ("GET", "/me/notifications"),
]
ADMIN_ROUTES = [
    ("POST", "/admin/products"), ("PUT", "/admin/products/1"),
    ("POST", "/admin/products/1/archive"), ("PUT", "/admin/prices/1"), ("GET", "/admin/orders"),
    ("POST", "/admin/orders"),
]
ANY_ROLE_ROUTES = [("GET", "/refresh-token"), ("POST", "/change-password")]

# service, method, path: one protected route of each, with {} for the user's id
BEHIND = [
    ("auth", "GET", "/users/{}"),
    ("auth", "GET", "/refresh-token"),
    ("user-profile", "GET", "/profiles/by-user-id/{}"),
    ("billing", "GET", "/accounts/by-user-id/{}"),
    ("order", "GET", "/users/{}/orders"),
    ("notification", "GET", "/users/{}/notifications"),
]
BEHIND_ADMIN = [
    ("order", "GET", "/orders"),
    ("product", "POST", "/manage/products"),
    ("price", "PUT", "/manage/prices/1"),
]


@pytest.fixture(scope="module")
def shop(stack):
    with shop_at(stack.url, "127.0.1.5") as client:
        yield client


@pytest.fixture(scope="module")
def user(shop):
    return shop.user()


@pytest.fixture(scope="module")
def admin(shop):
    return shop.admin()


@pytest.fixture(scope="module")
def other(shop):
    return shop.user()


@pytest.fixture
def untouched(stack, user, other, admin):
    del user, other, admin
    stack.wait_delivered()
    before = stack.contents()
    yield
    assert stack.contents() == before


def encode(part):
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Makes tokens, with the real key and without."""

    def __init__(self, stack, user):
        self.kid, self.private, self.jwk = stack.query(
            "auth", "select kid, private_key, public_jwk from signing_key"
                    " where signs_from <= now() order by signs_from desc limit 1")[0]
        now = int(time.time())
        self.claims = {"auth_id": user.id, "auth_username": user.name, "auth_role": "USER",
                       "sub": str(user.id), "iss": HOST, "aud": HOST, "iat": now, "exp": now + 600}

    def real(self, headers=None, **claims):
        """Signed with the real key; claims replace, None leaves one out."""
        payload = {name: value for name, value in {**self.claims, **claims}.items()
                   if value is not None}
        header = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(headers or {})}
        header = {name: value for name, value in header.items() if value is not None}
        key = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        signed = f"{encode(header)}.{encode(payload)}"
        return f"{signed}.{encode(key.sign(signed.encode(), key.prepare_key(self.private)))}"

    def hs256(self, secret):
        signed = f"{encode({'alg': 'HS256', 'typ': 'JWT', 'kid': self.kid})}.{encode(self.claims)}"
        return f"{signed}.{encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"

    def public_pem(self):
        public = jwt.algorithms.RSAAlgorithm.from_jwk(json.dumps(self.jwk))
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def bad_tokens(self):
        now = int(time.time())
        header, payload, signature = self.real().split(".")
        stranger = Key(kid=self.kid)
        other_claims = encode({**self.claims, "auth_role": "ADMIN"})
        return {
            "expired": self.real(exp=now - 60, iat=now - 600),
            "not yet valid": self.real(nbf=now + 600),
            "no expiry": self.real(exp=None),
            "expiry as text": self.real(exp="tomorrow"),
            "forged key": jwt.encode(self.claims, stranger.private, "RS256", {"kid": self.kid}),
            "unknown kid": jwt.encode(self.claims, stranger.private, "RS256", {"kid": "unknown"}),
            "no kid": self.real(headers={"kid": None}),
            "key in the token": jwt.encode(self.claims, stranger.private, "RS256",
                                           {"kid": "x", "jwk": stranger.jwk()}),
            "kid that is a path": self.real(headers={"kid": "../../../dev/null"}),
            "alg none": f"{encode({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
            "alg none with kid": f"{encode({'alg': 'none', 'kid': self.kid})}.{payload}.",
            "alg None, signature kept":
                f"{encode({'alg': 'None', 'kid': self.kid})}.{payload}.{signature}",
            "alg missing": f"{encode({'kid': self.kid})}.{payload}.{signature}",
            "HS256 with the public key": self.hs256(self.public_pem()),
            "HS256 with the public key, bare": self.hs256(self.public_pem().strip()),
            "HS256 with the JWK": self.hs256(json.dumps(self.jwk).encode()),
            "HS256 with nothing": self.hs256(b""),
            "RS512": jwt.encode(self.claims, self.private, "RS512", {"kid": self.kid}),
            "PS256": jwt.encode(self.claims, self.private, "PS256", {"kid": self.kid}),
            "other claims": f"{header}.{other_claims}.{signature}",
            "no signature": f"{header}.{payload}.",
            "two parts": f"{header}.{payload}",
            "four parts": f"{header}.{payload}.{signature}.{signature}",
            "cut off": f"{header}.{payload}.{signature[:-20]}",
            "not base64": f"{header}.{payload}.!!!!",
            "not JSON": f"{header}.{encode(b'not json')}.{signature}",
            "other issuer": self.real(iss="http://evil.example"),
            "other audience": self.real(aud="http://evil.example"),
            "no issuer": self.real(iss=None),
            "no audience": self.real(aud=None),
            "no sub": self.real(sub=None),
            "sub with a path": self.real(sub=f"{self.claims['sub']}/../1"),
            "sub not of digits": self.real(sub="1 or 1=1"),
            "sub as a number": self.real(sub=self.claims["auth_id"]),
            "sub zero": self.real(sub="0"),
            "sub too large": self.real(sub=str(2 ** 63)),
            "unknown role": self.real(auth_role="ROOT"),
            "no role": self.real(auth_role=None),
            "garbage": "garbage",
            "dots": "..",
            "long": "x" * 6000,
        }


@pytest.fixture(scope="module")
def forger(stack, user):
    return Forger(stack, user)


def test_real_tokens_pass(stack, shop, user, forger):
    """The forger's own craft is right: what the tests below refuse is refused for its fault."""
    assert ok(shop.request("GET", "/me/profile", forger.real()))["id"] == user.id
    for service, method, path in BEHIND:
        response = requests.request(method, stack.service_url(service) + path.format(user.id),
                                    headers={"Authorization": f"Bearer {forger.real()}"},
                                    timeout=30)
        assert response.status_code == 200, f"{service}: {response.text}"


def test_bad_tokens_at_the_gateway(shop, forger, untouched):
    for name, token in forger.bad_tokens().items():
        for method, path in (("GET", "/me/profile"), ("GET", "/me/orders"),
                             ("GET", "/refresh-token"), ("GET", "/admin/orders")):
            response = shop.request(method, path, token)
            assert response.status_code == 401, f"{name} at {path}: {response.status_code}"
            problem = assert_problem(response, 401, "unauthorized")
            assert token not in json.dumps(problem)
        assert shop.request("GET", "/products/1", token).status_code == 200  # open to everyone


@pytest.mark.parametrize("service, method, path", BEHIND + BEHIND_ADMIN)
def test_bad_tokens_behind_the_gateway(stack, user, forger, untouched, service, method, path):
    """Each service checks by itself: it does not trust that the gateway did."""
    url = stack.service_url(service) + path.format(user.id)
    for name, token in forger.bad_tokens().items():
        response = requests.request(method, url, headers={"Authorization": f"Bearer {token}"},
                                    timeout=30)
        assert response.status_code == 401, f"{name}: {response.status_code} {response.text}"
    assert_problem(requests.request(method, url, timeout=30), 401, "unauthorized")


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer a b",
                                   "Token {}", "{}", "Bearer{}", "Bearer {}, Bearer {}"])
def test_authorization_that_is_no_bearer(shop, user, untouched, value):
    response = shop.request("GET", "/me/profile",
                            headers={"Authorization": value.format(user.token, user.token)})
    assert_problem(response, 401, "unauthorized")


@pytest.mark.parametrize("method, path", USER_ROUTES + ADMIN_ROUTES + ANY_ROLE_ROUTES)
def test_no_token(shop, untouched, method, path):
    assert_problem(shop.request(method, path, json={}), 401, "unauthorized")


@pytest.mark.parametrize("method, path", ADMIN_ROUTES)
def test_user_at_admin_routes(shop, user, untouched, method, path):
    assert_problem(shop.request(method, path, user.token, json={}), 403, "forbidden")


@pytest.mark.parametrize("method, path", USER_ROUTES)
def test_admin_at_user_routes(shop, admin, untouched, method, path):
    assert_problem(shop.request(method, path, admin.token, json={}), 403, "forbidden")


def test_another_users_path_behind_the_gateway(stack, user, other, admin, untouched):
    """The path's id must be the token's own, whatever the headers say."""
    for service, method, path in BEHIND:
        if "{}" not in path:
            continue
        for person in (user, admin):
            response = requests.request(
                method, stack.service_url(service) + path.format(other.id), timeout=30,
                headers={"Authorization": f"Bearer {person.token}", "X-User-Id": str(other.id),
                         "X-Auth-Sub": str(other.id), "X-Auth-Role": "USER"})
            assert_problem(response, 403, "forbidden")
    for service, method, path in BEHIND_ADMIN:
        response = requests.request(method, stack.service_url(service) + path, timeout=30, json={},
                                    headers={"Authorization": f"Bearer {user.token}"})
        assert_problem(response, 403, "forbidden")
