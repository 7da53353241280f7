"""What pytest's users see."""

import subprocess
import sys
from pathlib import Path

from ottla_testing import Broker

FAILING = """
def test_fails(ottla_broker):
    ottla_broker.restart()
    assert ottla_broker.request_count("Produce") == 1
"""


def test_the_fixture_is_a_running_broker(ottla_broker: Broker) -> None:
    assert ottla_broker.is_running
    assert ottla_broker.bootstrap_servers == f"127.0.0.1:{ottla_broker.port}"


def test_the_log_is_shown_when_a_test_fails(tmp_path: Path) -> None:
    file = tmp_path / "test_failing.py"
    file.write_text(FAILING)
    plugin = ["-p", "ottla_testing.pytest_plugin", "-p", "no:cacheprovider"]
    line = [sys.executable, "-m", "pytest", *plugin, str(file)]
    run = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1
    assert "log of ottla_broker (<ottla_testing.Broker on 127.0.0.1:" in run.stdout
    assert "shutting down" in run.stdout


def test_the_main_package_has_it_too() -> None:
    import ottla.testing

    assert ottla.testing.Broker is Broker
