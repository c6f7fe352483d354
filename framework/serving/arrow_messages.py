"""Whether a stream of Arrow messages may be read at all: told by the messages' heads, before a buffer is unpacked.

pyarrow unpacks while it reads and takes no limit: ten megabytes may stand for gigabytes. The heads are flatbuffers,
laid out by Message.fbs of the Arrow format; pyarrow has verified each when it hands it out.
"""

import pyarrow as pa

from framework.serving.request import RequestError

MOST_BATCHES = 100
HEADER, DATA, COMPRESSION = 2, 1, 3  # places of Message.header, DictionaryBatch.data and RecordBatch.compression


def check_messages(body: bytes) -> None:
    """Raises RequestError where a batch is compressed, or there are more than 100; ArrowException where the body is no
    stream."""
    for count, message in enumerate(pa.ipc.MessageReader.open_stream(body)):
        if count > MOST_BATCHES:
            raise RequestError(f"the stream has more than {MOST_BATCHES} batches. Write the rows in fewer.", status=413)
        if message.type not in ("record batch", "dictionary"):
            continue
        if _compressed(message.metadata.to_pybytes(), nested=message.type == "dictionary"):
            raise RequestError("the stream's buffers are compressed. Write it without a codec.", status=415)


def _compressed(head: bytes, *, nested: bool) -> bool:
    batch = _follow(head, _field(head, _follow(head, 0), HEADER))
    if nested:
        batch = _follow(head, _field(head, batch, DATA))
    return _field(head, batch, COMPRESSION) != 0


def _field(data: bytes, table: int, place: int) -> int:
    """Where a table's field lies; 0 for one that was left out."""
    fields = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    at = 4 + 2 * place
    if at >= int.from_bytes(data[fields : fields + 2], "little"):
        return 0
    offset = int.from_bytes(data[fields + at : fields + at + 2], "little")
    return table + offset if offset else 0


def _follow(data: bytes, at: int) -> int:
    """What the offset at this place points to."""
    return at + int.from_bytes(data[at : at + 4], "little")
