"""The typed settings are those of the core's table. Run as a program, it writes them anew."""

import textwrap
from pathlib import Path

from ottla import _native

HEAD = '''"""The settings of each client as typed dictionaries, for type checkers.

The core's configuration table is what decides; a test keeps this equal to it. Every setting goes
by Kafka's dotted name as well, in the mapping that a client's constructor takes.
"""

from collections.abc import Sequence
from typing import Literal, TypedDict
'''

CLIENTS = {
    "producer": ("ProducerSettings", "What a producer can be told."),
    "consumer": ("ConsumerSettings", "What a consumer can be told."),
    "admin client": ("AdminSettings", "What an admin client can be told."),
}


def written() -> str:
    text = HEAD
    table = _native._settings()  # pyright: ignore[reportPrivateUsage]
    for role, (name, prose) in CLIENTS.items():
        text += f'\n\nclass {name}(TypedDict, total=False):\n    """{prose}"""\n\n'
        for setting, roles, kind, default, doc in table:
            if role not in roles:
                continue
            if default is not None:
                doc += f" Default: ``{default}``."
            lines = textwrap.wrap(" ".join(doc.split()), width=90)
            text += f"    {setting}: {kind} | None\n"
            text += '    """' + "\n    ".join(lines) + '"""\n'
    return text


def path() -> Path:
    assert _native.__file__ is not None
    return Path(_native.__file__).with_name("_settings.py")


def test_typed_settings_are_the_cores() -> None:
    assert path().read_text() == written()


if __name__ == "__main__":
    path().write_text(written())
