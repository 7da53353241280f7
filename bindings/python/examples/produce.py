"""Sends orders and says where each was written.

    python produce.py 127.0.0.1:9092
"""

import json
import sys

import ottla


def main(servers: str) -> None:
    orders = [{"id": number, "item": "book", "count": number % 3 + 1} for number in range(1, 6)]
    with ottla.Producer(
        bootstrap_servers=servers,
        compression_type="zstd",
        key_serializer=str,
        value_serializer=json.dumps,
    ) as producer:
        # All are on their way before the first answer is waited for.
        deliveries = [producer.send("orders", order, key=order["id"]) for order in orders]
        for order, delivery in zip(orders, deliveries, strict=True):
            try:
                written = delivery.result()
            except ottla.OttlaError as error:
                # It was retried as long as that made sense (delivery.timeout.ms).
                maybe = "perhaps " if error.possibly_written else "not "
                print(f"order {order['id']}: {maybe}written: {error}")
            else:
                place = f"partition {written.partition}, offset {written.offset}"
                print(f"order {order['id']}: {place}")


if __name__ == "__main__":
    main(sys.argv[1])
