"""A Kafka broker inside of a test: real sockets, a folder of its own, gone at the end even if the
test process is killed, and failing when it is told to::

    with Broker() as broker:
        broker.inject(api="Produce", error="NOT_LEADER_OR_FOLLOWER", times=3)
        my_program(broker.bootstrap_servers)
        assert broker.request_count("Produce") == 4

With pytest the fixture ``ottla_broker`` is such a broker.
"""

from ottla_testing._broker import Broker
from ottla_testing._errors import BrokerError, FaultError
from ottla_testing._port import Fault, RequestCount

__all__ = ["Broker", "BrokerError", "Fault", "FaultError", "RequestCount"]
__version__ = "0.1.0"
