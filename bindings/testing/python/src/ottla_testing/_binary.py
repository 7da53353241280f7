"""Where the broker's program is."""

import os
import shutil
import sysconfig
from pathlib import Path

from ottla_testing._errors import BrokerError

NAME = "ottla-broker.exe" if os.name == "nt" else "ottla-broker"
VARIABLE = "OTTLA_BROKER_BIN"


def find_binary(chosen: str | os.PathLike[str] | None = None) -> Path:
    """The program: the one that was chosen, or that OTTLA_BROKER_BIN names, or the package's own,
    or one on the PATH.

    Raises :class:`BrokerError` when there is none, or when the one that was named is not there.
    """
    for source, named in (("binary", chosen), (VARIABLE, os.environ.get(VARIABLE))):
        if named:
            if os.access(named, os.X_OK) and os.path.isfile(named):
                return Path(named)
            raise BrokerError(f"{source} names {os.fspath(named)}, which is no program")
    for folder in _own_folders():
        if (folder / NAME).is_file():
            return folder / NAME
    on_path = shutil.which(NAME)
    if on_path is not None:
        return Path(on_path)
    raise BrokerError(
        f"no {NAME}: it is neither in this installation of ottla-testing (is there a wheel for "
        f"this platform?) nor on the PATH; build it and name it by {VARIABLE} or binary="
    )


def _own_folders() -> list[Path]:
    """Where pip puts a wheel's programs: the environment's, the user's, and beside the module with
    ``--target``."""
    user = sysconfig.get_preferred_scheme("user")
    return [
        Path(sysconfig.get_path("scripts")),
        Path(sysconfig.get_path("scripts", scheme=user)),
        Path(__file__).parents[1] / "bin",
    ]
