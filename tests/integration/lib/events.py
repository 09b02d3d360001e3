"""CloudEvents as the relay delivers them: made, signed by Standard Webhooks, posted."""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from datetime import datetime, timezone

import requests

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def new_secret():
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def sign(secret, message_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def event(event_type, key, data, source=None, event_id=None, **extensions):
    """A CloudEvent; the source is by default the first part of the type ("/order")."""
    return {
        "specversion": "1.0",
        "id": event_id or str(uuid.uuid4()),
        "source": source or "/" + event_type.split(".")[0],
        "type": event_type,
        "subject": str(key),
        "time": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "partitionkey": str(key),
        "sequence": f"{time.time_ns():020d}",
        "data": data,
        **extensions,
    }


class Poster:
    """Posts events to one service, as a subscription with this secret would."""

    def __init__(self, base_url, secret):
        self.url = base_url + "/internal/events"
        self.secret = secret
        self._session = requests.Session()

    def post(self, *events, headers=None):
        """One event goes by itself, several as a batch. Returns the response."""
        batch = len(events) != 1
        return self.post_body(json.dumps(list(events) if batch else events[0]).encode(),
                              BATCH if batch else ONE, headers)

    def post_body(self, body, content_type=ONE, headers=None):
        """Posts any body, signed; headers replace those made here, None leaves one out."""
        message_id, timestamp = str(uuid.uuid4()), str(int(time.time()))
        all_headers = {
            "Content-Type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self.secret, message_id, timestamp, body),
            **(headers or {}),
        }
        return self._session.post(self.url, data=body, headers=all_headers, timeout=30)

    def deliver(self, *events):
        """Posts and insists that every event was taken."""
        response = self.post(*events)
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        failed = response.json().get("failed") if response.content else None
        assert not failed, failed
        return response
