"""The tracker that XGBoost's federated plugin talks to: it adds up what silos tell, and answers the sums.

XGBoost's own (`xgboost.federated.FederatedTracker`) listens on every interface, takes whoever shows a certificate for
any silo, and cannot be told that one is lost. This one speaks the same protocol, on one address, to those whose
certificates it was given, each for its own rank, and can be told to stop.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any

from federated.trees.credential import Credential
from federated.trees.session import BrokenError, Call, Session

if TYPE_CHECKING:
    import grpc

SERVICE = "xgboost.collective.federated.Federated"
KINDS = ("Allgather", "AllgatherV", "Allreduce", "Broadcast")
LOOPBACK = "127.0.0.1"
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # no other process may listen beside it
)
START_SECONDS = 60.0


class TrackerError(RuntimeError):
    """A tracker that cannot listen where it was told to."""


@dataclass(frozen=True)
class Gate:
    """Where a session is: address and port, and the certificate that its tracker shows."""

    address: str
    certificate: str


class Tracker:
    """address: the only one that it listens on. A thread of its own answers, so that a fit or an actor may hold it."""

    def __init__(self, address: str = LOOPBACK) -> None:
        self._where = address
        self._credential = Credential.made(address)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="tracker", daemon=True)
        self._thread.start()
        self._session: Session | None = None
        self._server: grpc.aio.Server | None = None

    def open(self, silos: Mapping[str, str]) -> Gate:
        """Ends the last session and begins one of these silos, in this order. silos: name → certificate.

        Raises TrackerError where the address cannot be listened on.
        """
        self._told(self._close())
        return Gate(f"{self._where}:{self._told(self._open(silos))}", self._credential.certificate)

    def stop(self, why: str) -> None:
        """Whoever waits in the session is told that it is broken, and so is whoever comes."""
        if (session := self._session) is not None:
            self._loop.call_soon_threadsafe(session.stop, why)

    def told(self) -> tuple[str, dict[str, int], dict[str, int]]:
        """Of the session: why it broke, or nothing; the bytes that each silo sent; how many calls of each kind."""
        session = self._session
        if session is None:
            return "", {}, {}
        return session.broken, dict(zip(session.names, session.received, strict=True)), dict(session.calls)

    def close(self) -> None:
        """Ends it all; nothing is answered any more."""
        self._told(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, silos: Mapping[str, str]) -> int:
        import grpc

        session = Session(list(silos))
        ranks = {certificate.strip(): rank for rank, certificate in enumerate(silos.values())}
        request, reply = messages()

        def meet(kind: str) -> Any:
            async def answer(asked: Any, context: Any) -> Any:
                if ranks.get(_shown(context)) != asked.rank:
                    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this certificate is another silo's")
                call = Call(kind, asked.rank, asked.sequence_number, asked.send_buffer, asked.extra, asked.operation)
                try:
                    return reply(receive_buffer=await session.take(call))
                except BrokenError as error:
                    await context.abort(grpc.StatusCode.ABORTED, str(error))

            return grpc.unary_unary_rpc_method_handler(
                answer, request_deserializer=request.FromString, response_serializer=reply.SerializeToString
            )

        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {kind: meet(kind) for kind in KINDS}),)
        )
        pair = (self._credential.key.encode(), self._credential.certificate.encode())
        trusted = "\n".join(silos.values()).encode()
        shown = grpc.ssl_server_credentials([pair], trusted, require_client_auth=True)
        try:
            port = server.add_secure_port(f"{self._where}:0", shown)
        except RuntimeError as error:
            raise TrackerError(f"the tracker cannot listen on {self._where}. Name an address of this node.") from error
        await server.start()
        self._session, self._server = session, server
        return int(port)

    async def _close(self) -> None:
        if self._session is not None:
            self._session.stop("the session is over")
        if self._server is not None:
            await self._server.stop(grace=None)
        self._session = self._server = None

    def _told(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_SECONDS)


def _shown(context: Any) -> str:
    """The certificate that a caller has shown."""
    return b"".join(context.auth_context().get("x509_pem_cert", ())).decode().strip()


@cache
def messages() -> tuple[Any, Any]:
    """The protocol's request and reply. Its four requests number their fields alike, so that one reads them all."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="federated_trees.proto", package="federated.trees", syntax="proto3")

    def message(name: str, *fields: tuple[str, int]) -> None:
        made = file.message_type.add(name=name)
        for number, (called, kind) in enumerate(fields, 1):
            made.field.add(name=called, number=number, type=kind, label=field.LABEL_OPTIONAL)

    whole, small, data = field.TYPE_UINT64, field.TYPE_INT32, field.TYPE_BYTES
    names = ("sequence_number", whole), ("rank", small), ("send_buffer", data), ("extra", small), ("operation", small)
    message("Request", *names)
    message("Reply", ("receive_buffer", data))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)

    def found(name: str) -> Any:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"federated.trees.{name}"))

    return found("Request"), found("Reply")
