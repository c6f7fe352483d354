"""What XGBoost talks to in a silo whose sums are masked: it speaks for the tracker, in the silo's own process.

XGBoost's part of a sum reaches this server over loopback and goes on, under masks, to the tracker; the sum comes back
and XGBoost is answered as if there were no masks. Whatever is not on the list of `crossing` goes nowhere.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from federated.trees.credential import Credential
from federated.trees.crossing import CrossingError
from federated.trees.session import TYPES, WIDE, Call
from federated.trees.tracker import KINDS, LOOPBACK, OPTIONS, SERVICE, Gate, messages
from federated.trees.veil import Veil
from federated.trees.wide import WideError

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)


class Relay:
    """One session's. masked: whether a call is a sum; raises CrossingError for what may not leave.

    refused: why it has told the tracker nothing more; empty while it has.
    """

    def __init__(self, channel: "grpc.Channel", veil: Veil, masked: Callable[[Call], bool]) -> None:
        self._channel, self._veil, self._masked = channel, veil, masked
        self.refused = ""
        self._next = 0

    def answer(self, call: Call) -> bytes:
        """What XGBoost is told. Raises CrossingError or WideError for what does not leave, grpc.RpcError where the
        session is broken."""
        if call.number != self._next:
            raise CrossingError("XGBoost told a part of a session twice, which would need one mask twice")
        self._next += 1
        if not self._masked(call):
            told = self._passed_on(call.kind, call, call.data, call.extra)
            self._veil.hear(told)
            return told
        dtype = TYPES[call.extra]
        part = self._veil.hidden(call.number, np.frombuffer(call.data, dtype=dtype))
        total = self._passed_on(call.kind, call, part, WIDE)
        if len(total) != len(part):
            raise CrossingError(f"the tracker answered {len(total)} bytes, and not {len(part)}")
        self._veil.hear(total)
        return self._veil.opened(total, dtype).tobytes()

    def handle(self, kind: str, asked: Any, context: Any) -> Any:
        """One call of XGBoost's, answered or broken off."""
        import grpc

        _, reply = messages()
        call = Call(kind, asked.rank, asked.sequence_number, asked.send_buffer, asked.extra, asked.operation)
        if self.refused:
            context.abort(grpc.StatusCode.ABORTED, "this silo has broken off")
        try:
            return reply(receive_buffer=self.answer(call))
        except (CrossingError, WideError) as error:
            self.refused = str(error)
            context.abort(grpc.StatusCode.ABORTED, "this silo has broken off")
        except grpc.RpcError as error:
            log.info("a masked session broke: %s", error)
            context.abort(grpc.StatusCode.ABORTED, "the session is broken")
        except Exception as error:  # XGBoost would take it for a lost tracker
            log.exception("a masked session failed")
            self.refused = f"its relay failed with {type(error).__name__}"
            context.abort(grpc.StatusCode.ABORTED, "this silo has broken off")

    def _passed_on(self, kind: str, call: Call, data: bytes, extra: int) -> bytes:
        request, reply = messages()
        ask = self._channel.unary_unary(f"/{SERVICE}/{kind}", request.SerializeToString, reply.FromString)
        asked = request(
            sequence_number=call.number, rank=call.rank, send_buffer=data, extra=extra, operation=call.operation
        )
        return bytes(ask(asked).receive_buffer)


@contextmanager
def relayed(gate: Gate, own: Credential, veil: Veil, masked: Callable[[Call], bool]) -> Iterator[tuple[Relay, Gate]]:
    """A relay to the tracker at the gate, and the gate where it listens itself, for this silo's XGBoost alone;
    both are over with this.

    own: the silo's credential: the tracker knows the silo by it, and the relay its XGBoost.
    """
    import grpc

    request, reply = messages()
    server = Credential.made(LOOPBACK)
    outside = grpc.ssl_channel_credentials(gate.certificate.encode(), own.key.encode(), own.certificate.encode())
    with (
        grpc.secure_channel(gate.address, outside, options=OPTIONS) as channel,
        ThreadPoolExecutor(1, thread_name_prefix="relay") as pool,
    ):
        relay = Relay(channel, veil, masked)

        def meet(kind: str) -> Any:
            return grpc.unary_unary_rpc_method_handler(
                lambda asked, context: relay.handle(kind, asked, context),
                request_deserializer=request.FromString,
                response_serializer=reply.SerializeToString,
            )

        listening = grpc.server(pool, options=OPTIONS)
        listening.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {kind: meet(kind) for kind in KINDS}),)
        )
        pair = (server.key.encode(), server.certificate.encode())
        shown = grpc.ssl_server_credentials([pair], own.certificate.encode(), require_client_auth=True)
        port = listening.add_secure_port(f"{LOOPBACK}:0", shown)
        listening.start()
        try:
            yield relay, Gate(f"{LOOPBACK}:{port}", server.certificate)
        finally:
            channel.close()  # whoever waits for the tracker waits no more
            listening.stop(grace=None).wait()
