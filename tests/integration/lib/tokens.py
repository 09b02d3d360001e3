"""An issuer of tokens for the tests: an RSA key made on the fly, its JWKS on a loopback port, and
tokens as the auth service signs them, with every claim open to forgery."""

import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "http://arch.homework"


def _base64url(number):
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    def __init__(self, kid=None):
        self.kid = kid or uuid.uuid4().hex
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
                "n": _base64url(numbers.n), "e": _base64url(numbers.e)}

    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Issuer:
    """Serves the JWKS from construction to stop(). `keys` may be changed at any time (rotation)."""

    def __init__(self):
        self.keys = [Key()]
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(issuer.jwks()).encode()
                self.send_response(200 if self.path == "/jwk" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwk"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def jwks(self):
        return {"keys": [key.jwk() for key in self.keys]}

    def token(self, user_id, role="USER", expires_in_s=600, key=None, algorithm="RS256",
              headers=None, **claims):
        """A token of the newest key. Claims given by name replace or add; None leaves one out."""
        key = key or self.keys[-1]
        now = int(time.time())
        payload = {"auth_id": user_id, "auth_username": f"user{user_id}", "auth_role": role,
                   "sub": str(user_id), "iss": ISSUER, "aud": ISSUER, "iat": now,
                   "exp": now + expires_in_s, **claims}
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, key.private, algorithm, {"kid": key.kid, **(headers or {})})

    def admin(self, user_id=1, **claims):
        return self.token(user_id, role="ADMIN", **claims)
