"""Runs the tests from the sources as they run from an installed package."""

import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[3]

try:
    distribution("ottla-testing")
except PackageNotFoundError:
    # An installed package is found by its entry point and has its program.
    pytest_plugins = ["ottla_testing.pytest_plugin"]
    for profile in ("debug", "release"):
        program = ROOT / "target" / profile / "ottla-broker"
        if program.exists() and "OTTLA_BROKER_BIN" not in os.environ:
            os.environ["OTTLA_BROKER_BIN"] = str(program)
    source = str(Path(__file__).parent / "src")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
