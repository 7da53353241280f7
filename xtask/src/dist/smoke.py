"""Whether the installed wheels of ottla and ottla-testing start and understand each other."""

import ottla
import ottla_testing

with ottla_testing.Broker() as broker:
    with ottla.Producer(bootstrap_servers=broker.bootstrap_servers) as producer:
        assert producer.send("smoke", b"value").result().offset == 0
print("ottla", ottla.__version__, "writes to the broker of ottla-testing")
