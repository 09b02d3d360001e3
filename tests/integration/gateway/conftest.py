"""A gateway and what is behind it, for a module's tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from backends import SERVICES, Backend, Gateway, echo, verify  # noqa: E402


@pytest.fixture(scope="module")
def all_backends():
    made = {name: Backend(verify if name == "auth" else echo()) for name in SERVICES}
    yield made
    for backend in made.values():
        backend.close()


@pytest.fixture(scope="module")
def running(all_backends):
    gateway = Gateway(all_backends)
    yield gateway
    gateway.stop()


@pytest.fixture
def backends(all_backends):
    """All of them up and answering, with nothing seen yet."""
    for backend in all_backends.values():
        backend.reset()
        if not backend.server:
            backend.listen()
    return all_backends


@pytest.fixture
def gateway(running, backends):
    """The tokens are new for each test, so that no answer of /verify is in the cache."""
    return running


@pytest.fixture
def user():
    """A token that no test has used yet, and its sub."""
    user.count = getattr(user, "count", 1000) + 1
    return {"Authorization": f"Bearer user-{user.count}"}
