"""The stubs say what the native module has."""

import os
import subprocess
import sys
from pathlib import Path

from support import PATIENCE, environment

#: Not for users, who import from ``ottla``; and the name of a caught exception.
ALLOWED = "ottla\\._native\\.__all__\nottla\\.testing\\.error\n"


def test_the_stubs_are_complete(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(ALLOWED)
    paths = [path for path in sys.path if (Path(path) / "ottla_testing").is_dir()]
    mypy_path = [path for path in paths if "site-packages" not in path]
    command = [sys.executable, "-m", "mypy.stubtest", "ottla", "--ignore-disjoint-bases"]
    done = subprocess.run(
        [*command, "--allowlist", str(allowed)],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        cwd=tmp_path,
        env={**environment(), "MYPYPATH": os.pathsep.join(mypy_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
