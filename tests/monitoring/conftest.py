"""Fixtures of `make monitoring-test`: the shop with some load, and those who watch it. Run with Debian's
python3, on Debian's Prometheus, Alertmanager and exporters."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.client import shop_at  # noqa: E402
from lib.full_stack import FullStack  # noqa: E402
from load import going_on, play  # noqa: E402
from operators import Operators  # noqa: E402
from watchers import Standby, Watchers  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: left out by make monitoring-test SHORT=yes")


@pytest.fixture(scope="session")
def stack():
    started = FullStack()
    try:
        yield started
    finally:
        started.down()


@pytest.fixture(scope="session")
def standby(stack):
    with Standby(stack) as started:
        yield started


@pytest.fixture(scope="session")
def operators():
    with Operators() as listening:
        yield listening


@pytest.fixture(scope="session")
def watchers(stack, standby, operators, tmp_path_factory):
    with Watchers(stack, operators, tmp_path_factory.mktemp("watchers")) as started:
        yield started


@pytest.fixture(scope="session")
def shop(stack):
    with shop_at(stack.url, "127.0.0.9") as opened:
        yield opened


@pytest.fixture(scope="session")
def busy_shop(watchers, shop):
    """Every route of the gateway has been used while Prometheus was looking."""
    play(shop)
    return shop


@pytest.fixture(scope="module")
def used_shop(busy_shop):
    """And it still is used."""
    with going_on(busy_shop):
        yield busy_shop
