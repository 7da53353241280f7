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
    builds = [path for path in ROOT.glob("target/*/ottla-broker") if path.is_file()]
    if builds:
        newest = max(builds, key=lambda path: path.stat().st_mtime)
        os.environ.setdefault("OTTLA_BROKER_BIN", str(newest))
    source = str(Path(__file__).parent / "src")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
