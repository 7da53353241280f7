"""What can go wrong between a test and its broker."""


class BrokerError(Exception):
    """The broker cannot be found, did not start, does not run or does not answer. When it ended by
    itself, the end of its log is in the text."""


class FaultError(BrokerError, ValueError):
    """The broker refused a fault: a name is unknown, or the fault could never apply."""
