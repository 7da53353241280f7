"""The stubs say what the native module has."""

import os
import subprocess
import sys
from pathlib import Path

from support import PATIENCE, environment


def test_the_stubs_are_complete(tmp_path: Path) -> None:
    paths = [path for path in sys.path if (Path(path) / "ottla_testing").is_dir()]
    mypy_path = [path for path in paths if "site-packages" not in path]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ottla"],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        cwd=tmp_path,
        env={**environment(), "MYPYPATH": os.pathsep.join(mypy_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
