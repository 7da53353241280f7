"""The stubs say what the native module has."""

import subprocess
import sys
from pathlib import Path

from support import PATIENCE


def test_the_stubs_are_complete(tmp_path: Path) -> None:
    # mypy finds the package by itself, in site-packages as well as by PYTHONPATH. MYPYPATH would
    # make the packages beside it the user's own, which mypy refuses where they shadow its own.
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ottla"],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
