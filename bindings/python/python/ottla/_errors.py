"""The exceptions: one tree, under :class:`OttlaError`."""

import builtins
from typing import Any


class OttlaError(Exception):
    """What every exception of this package is.

    ``str(error)`` says what was wrong, where, and what to do.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retriable: bool = False,
        fatal: bool = False,
        possibly_written: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What was wrong, where, and what to do."""
        self.code = code
        """The broker's name of the error (``UNKNOWN_TOPIC_OR_PARTITION``) where a broker answered
        one, else that of the class (``TIMEOUT``). The same in every language."""
        self.retriable = retriable
        """Whether the same call may succeed later without anything being changed."""
        self.fatal = fatal
        """Whether the client is of no further use: make a new one."""
        self.possibly_written = possibly_written
        """Whether the record may be in the log although this was raised."""

    def __reduce__(self) -> tuple[Any, ...]:
        flags = {
            "code": self.code,
            "retriable": self.retriable,
            "fatal": self.fatal,
            "possibly_written": self.possibly_written,
        }
        return (_unpickled, (type(self), self.message, flags))


def _unpickled(kind: type[OttlaError], message: str, flags: dict[str, Any]) -> OttlaError:
    return kind(message, **flags)


class ConfigError(OttlaError, ValueError):
    """A setting is unknown or out of range: change it."""


class ArgumentTypeError(OttlaError, TypeError):
    """An argument has the wrong type: change it."""


class UnreachableError(OttlaError, ConnectionError):
    """No broker could be reached: check addresses and network."""


class TimeoutError(OttlaError, builtins.TimeoutError):
    """It took longer than its limit: it may be tried again."""


class NotFoundError(OttlaError):
    """The topic, partition or group does not exist: create it."""


class InvalidError(OttlaError, ValueError):
    """The argument can never be accepted as it is: change it."""


class AuthenticationError(OttlaError):
    """The credentials were refused: correct them."""


class AuthorizationError(OttlaError):
    """The user may not do this: grant the permission."""


class FencedError(OttlaError):
    """Another client took this one's place: discard this client."""


class RebalanceError(OttlaError):
    """The group is rebalancing, or the member was removed: poll again."""


class OffsetOutOfRangeError(OttlaError):
    """The position is not in the log any more: seek."""


class BrokerError(OttlaError):
    """The broker refused for another reason: see the code."""


class UnsupportedError(OttlaError):
    """Broker and client have no version in common: change either."""


class ProtocolError(OttlaError):
    """The broker's bytes break the protocol, or a batch is corrupt."""


class FullError(OttlaError):
    """The local buffers are full: wait for deliveries, then try again."""


class ClosedError(OttlaError):
    """The client was closed, or crossed a fork: make a new one."""


class CancelledError(OttlaError):
    """The caller gave up; a record that was sent is on its way."""


for _class in list(globals().values()):
    if isinstance(_class, type) and issubclass(_class, OttlaError):
        _class.__module__ = "ottla"
