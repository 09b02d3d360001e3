"""Who is told of alerts: a server that stands where api.telegram.org and an operator's webhook would."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib import wait

BOT_TOKEN = "4711:of-no-bot_at-all"
CHAT_ID = -1001234567


class Operators:
    """Collects what it is sent. messages: texts to the chat; notices: alerts by webhook, as
    (status, labels)."""

    def __init__(self):
        self._lock = threading.Lock()
        self._messages, self._notices = [], []
        operators = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = operators.take(self.path, body, self.headers["Content-Type"])
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def take(self, path, body, content_type):
        """Answers as Telegram does; a wrong token or chat is refused as there."""
        if path == "/hook":
            alerts = json.loads(body)["alerts"]
            with self._lock:
                self._notices += [(alert["status"], alert["labels"]) for alert in alerts]
            return 200, {}
        if path != f"/bot{BOT_TOKEN}/sendMessage":
            return 401, {"ok": False, "error_code": 401, "description": "Unauthorized"}
        if content_type.startswith("application/json"):
            message = json.loads(body)
        else:
            message = dict(urllib.parse.parse_qsl(body.decode()))
        if int(message["chat_id"]) != CHAT_ID:
            return 400, {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}
        with self._lock:
            self._messages.append(message["text"])
            number = len(self._messages)
        return 200, {"ok": True, "result": {
            "message_id": number, "date": 1, "text": message["text"],
            "chat": {"id": CHAT_ID, "type": "supergroup", "title": "operators"}}}

    def messages(self):
        with self._lock:
            return list(self._messages)

    def notices(self):
        with self._lock:
            return list(self._notices)

    def wait_told(self, status, alertname, text="", timeout_s=60, **labels):
        """Waits until both the chat and the webhook have been told, and returns the message."""
        wanted = {"alertname": alertname, **labels}

        def told():
            by_hook = any(got == status and wanted.items() <= about.items()
                          for got, about in self.notices())
            by_chat = [message for message in self.messages() for paragraph in paragraphs(message)
                       if f"<b>{alertname}</b> {status}" in paragraph and text in paragraph]
            assert by_hook, f"webhook: {self.notices()}"
            assert by_chat, f"chat: {self.messages()}"
            return by_chat[-1]
        return wait.until(told, timeout_s, f"{alertname} to be told as {status}", 0.1)


def paragraphs(message):
    """A message has one paragraph for each alert; each begins with one of these."""
    return message.replace("✅", "🔥").split("🔥")[1:]
