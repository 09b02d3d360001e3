"""Fixtures of all integration tests. Run with Debian's python3: it has psycopg2 and the others."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.full_stack import FullStack  # noqa: E402
from lib.pg import Cluster  # noqa: E402
from lib.service import Service  # noqa: E402
from lib.tokens import Issuer  # noqa: E402


@pytest.fixture(scope="session")
def pg():
    """One temporary PostgreSQL cluster for the whole run."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def issuer():
    """Signs tokens; its JWKS is what the services under test fetch."""
    made = Issuer()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def start_service(pg, issuer):
    """start_service(name, **settings): a migrated, ready service, stopped after the module.

    The database is new for each module, so modules don't see each other's rows. What the service
    has emitted by the end of the module must be as docs/events.md has it."""
    started = []

    def start(name, **settings):
        database = name.replace("-", "_")
        pg.query("postgres", f'drop database if exists "{database}" with (force)')
        service = Service(name, pg, issuer, **settings)
        started.append(service)
        return service.start()

    yield start
    for service in reversed(started):
        service.stop()
        if service.value("select to_regclass('outbox.event') is not null"):
            service.emitted()


@pytest.fixture(scope="session")
def stack():
    """The whole shop behind its gateway, with the demo products, for the whole run."""
    started = FullStack()
    yield started
    started.down()
