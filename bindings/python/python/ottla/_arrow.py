"""Batches as Arrow's record batches. Only imported where somebody asks for one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ottla._errors import UnsupportedError

if TYPE_CHECKING:
    from ottla._native import Batch


def to_arrow(batch: "Batch") -> Any:
    """A batch as a ``pyarrow.RecordBatch``."""
    try:
        pa: Any = import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            "Batch.to_arrow needs pyarrow: pip install 'ottla[arrow]'", code="UNSUPPORTED"
        ) from error
    count = len(batch)
    offsets, timestamps, keys, values, headers = batch._columns()

    def buffers(parts: list[bytes]) -> list[Any]:
        return [pa.py_buffer(part) for part in parts]

    def binary(parts: list[bytes], count: int, kind: Any) -> Any:
        return pa.Array.from_buffers(kind, count, buffers(parts))

    ends, names, contents = headers
    header_count = len(names[1]) // 4 - 1
    header_type = pa.struct([pa.field("key", pa.string(), False), pa.field("value", pa.binary())])
    header_values = pa.StructArray.from_arrays(
        [
            binary(names, header_count, pa.string()),
            binary(contents, header_count, pa.binary()),
        ],
        fields=list(header_type),
    )
    schema = pa.schema(
        [
            pa.field("offset", pa.int64(), False),
            pa.field("timestamp", pa.timestamp("ms", "UTC"), False),
            pa.field("key", pa.binary()),
            pa.field("value", pa.binary()),
            pa.field("headers", pa.list_(header_type), False),
        ],
        metadata={"topic": batch.topic, "partition": str(batch.partition)},
    )
    columns = [
        pa.Array.from_buffers(schema.field(0).type, count, [None, pa.py_buffer(offsets)]),
        pa.Array.from_buffers(schema.field(1).type, count, [None, pa.py_buffer(timestamps)]),
        binary(keys, count, pa.binary()),
        binary(values, count, pa.binary()),
        pa.Array.from_buffers(
            schema.field(4).type, count, [None, pa.py_buffer(ends)], children=[header_values]
        ),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
