"""The fixture ``ottla_broker``, and the broker's log beside the report of a test that fails."""

from collections.abc import Generator, Iterator, Mapping

import pytest

from ottla_testing import Broker

#: How much of a log is shown, in characters.
LOG_SHOWN = 20_000


@pytest.fixture
def ottla_broker_config() -> Mapping[str, object]:
    """The properties of the fixture ``ottla_broker``; a fixture of this name in a module or a
    conftest.py gives others."""
    return {}


@pytest.fixture
def ottla_broker(ottla_broker_config: Mapping[str, str | int | bool]) -> Iterator[Broker]:
    """A broker for one test."""
    with Broker(config=ottla_broker_config) as broker:
        yield broker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the logs of a test's brokers when it fails."""
    report = yield
    if report.failed:
        fixtures: Mapping[str, object] = getattr(item, "funcargs", {})
        for name, value in fixtures.items():
            if isinstance(value, Broker):
                log = value.log()[-LOG_SHOWN:]
                report.sections.append((f"log of {name} ({value!r})", log))
    return report
