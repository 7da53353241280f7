"""Brokers for the tests: those that OTTLA_TEST_BROKERS names, or one of our own."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def _use_sources() -> None:
    """Without an installed ottla-testing: its sources, and the broker that was built last."""
    sys.path.insert(0, str(Path(__file__).parent))
    if find_spec("ottla_testing") is None:
        sys.path.insert(0, str(ROOT / "bindings/testing/python/src"))
    built = [ROOT / "target" / profile / "ottla-broker" for profile in ("release", "debug")]
    built = sorted((path for path in built if path.exists()), key=lambda path: path.stat().st_mtime)
    if built:
        os.environ.setdefault("OTTLA_BROKER_BIN", str(built[-1]))


_use_sources()

from ottla_testing import Broker  # noqa: E402


# Started in the background of a script, the tests inherit that SIGINT is ignored, and so would the
# programs that they start: a handler here is the default there.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _named_brokers() -> dict[str, str]:
    given = os.environ.get("OTTLA_TEST_BROKERS", "")
    return dict(pair.split("=", 1) for pair in given.split(",") if pair)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker" in metafunc.fixturenames:
        names = list(_named_brokers()) or ["ottla"]
        metafunc.parametrize("broker", names, indirect=True, scope="session")


@pytest.fixture(autouse=True)
def _what_a_test_leaves_open() -> Iterator[None]:
    """Collects what a test left, so that a warning of it fails that test and not a later one."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def _shared_broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> str:
    """The address of a broker that other tests use as well."""
    named = _named_brokers()
    if named:
        return named[request.param]
    shared: Broker = request.getfixturevalue("_shared_broker")
    return shared.bootstrap_servers


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """A broker of the test's own, to be killed and to be made fail."""
    with Broker() as broker:
        yield broker
