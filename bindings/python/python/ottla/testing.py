"""A broker inside of a test, that fails when it is told to: the package ``ottla-testing``."""

try:
    from ottla_testing import Broker, BrokerError, Fault, FaultError, RequestCount
except ModuleNotFoundError as _error:
    if _error.name != "ottla_testing":
        raise
    raise ModuleNotFoundError(
        "ottla.testing needs the package ottla-testing: pip install 'ottla[testing]'",
        name="ottla_testing",
    ) from None

__all__ = ["Broker", "BrokerError", "Fault", "FaultError", "RequestCount"]
