"""Fixtures of the tests of single services."""

import pytest
from lib import shop


@pytest.fixture(name="user")
def _user(issuer):
    """A user whom no other test knows."""
    return shop.new_user(issuer)


@pytest.fixture(name="other_user")
def _other_user(issuer):
    return shop.new_user(issuer)
