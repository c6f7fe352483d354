"""Where silos dial in: a gRPC server behind mutual TLS, and the channel by which a coordinator asks them."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Self

from cluster.user_error import UserError
from federated.channel import LONGEST, LostSiloError, Ticket
from federated.deployment.certificate import same
from federated.deployment.line import Line
from federated.deployment.register import Register
from federated.secure_aggregation.identity import Registry
from framework.serving.tls import Certificate

if TYPE_CHECKING:
    import grpc

SERVICE, METHOD = "federated.Coordinator", "Join"
SILO, WELCOME = "silo-bin", "welcome"  # what a silo says first, and what it is answered
MOST_BYTES = 256 * 2**20  # of a message, either way
ALIVE_MS = 20_000  # between two signs of life, and until a missing one ends the connection
GRACE_SECONDS = 5.0
START_SECONDS = 60.0


class ListenError(UserError):
    """A coordinator that cannot listen, whose silos do not come, or that would say more than a message holds."""


class Listener:
    """A `SigningChannel` over silos that dial in. A thread of its own answers them.

    Each silo of the register is known by its certificate. Another is refused in the TLS handshake, and a silo that
    gives another's name by name. silos: those that can be asked; after `gather` those that had come.
    """

    def __init__(
        self,
        register: Register,
        address: str,
        certificate: Certificate,
        *,
        most_bytes: int = MOST_BYTES,
        registry: Registry | None = None,
    ) -> None:
        """address: HOST:PORT to listen on and nowhere else; port 0: a free one. registry: the keys that silos sign
        with, for secure jobs, see `signers_of`. Raises ListenError where it cannot listen."""
        self.silos, self._most = register.silos, most_bytes
        self.registry: Registry = registry or {}
        self._register = register
        self._here = Condition()
        self._lines: dict[str, Line] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="listener", daemon=True)
        self._thread.start()
        try:
            self.port: int = self._told(self._open(address, certificate))
        except BaseException as error:
            self._end_loop()
            if not isinstance(error, RuntimeError):
                raise
            raise ListenError(
                f"the coordinator cannot listen on {address}: it is no address of this machine, or the port is taken."
            ) from error

    def gather(self, seconds: float, *, least: int) -> tuple[str, ...]:
        """Waits until all silos of the register are there, or the seconds are over; those that are.

        Raises ListenError naming those that did not come when fewer than `least` did.
        """
        if least > len(self._register.silos):
            raise ListenError(f"the register has {len(self._register.silos)} silo(s), and {least} are needed.")
        until = time.monotonic() + seconds
        with self._here:
            while len(self._present()) < len(self._register.silos) and (left := until - time.monotonic()) > 0:
                self._here.wait(min(left, LONGEST))
            present = self._present()
        if len(present) < least:
            missing = ", ".join(map(repr, (s for s in self._register.silos if s not in present)))
            raise ListenError(
                f"{len(present)} silo(s) came in {seconds:g} s, and {least} are needed; {missing} did not. Start them, "
                f"or wait longer."
            )
        self.silos = present
        return present

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        """As `Channel` has it. One that is not there is asked when it is. Raises ListenError for too long a message."""
        if len(request) > self._most:
            raise ListenError(
                f"a question of {len(request):,} bytes is more than the {self._most:,} of a message. Ask for a smaller "
                f"net, or allow more most_bytes on both sides."
            )
        tickets: dict[str, Ticket] = {silo: Future() for silo in silos}
        for silo, ticket in tickets.items():
            if silo in self._lines:
                self._loop.call_soon_threadsafe(self._lines[silo].put, request, ticket)
            else:  # of a checkpoint, and taken out since
                ticket.set_exception(LostSiloError("it is not in the register"))
        return tickets

    def wait(self, tickets: Mapping[str, Ticket], seconds: float) -> list[str]:
        done, _ = wait_for(tickets.values(), max(0.0, min(seconds, LONGEST)), FIRST_COMPLETED)
        return [silo for silo, ticket in tickets.items() if ticket in done]

    def take(self, ticket: Ticket) -> bytes:
        return bytes(ticket.result())

    def close(self, *, goodbye: bool = True) -> None:
        """Ends it all. goodbye: silos are told that it is over; else they look for a coordinator that goes on."""
        if self._loop.is_closed():
            return
        self._told(self._close(goodbye))
        self._end_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(goodbye=kind is None)

    def _present(self) -> tuple[str, ...]:
        return tuple(silo for silo, line in self._lines.items() if line.present)

    def _changed(self) -> None:
        with self._here:
            self._here.notify_all()

    async def _open(self, address: str, certificate: Certificate) -> int:
        import grpc

        self._lines = {silo: Line(self._changed) for silo in self._register.silos}
        server = grpc.aio.server(options=[*options(self._most), ("grpc.so_reuseport", 0)])
        handler = grpc.stream_stream_rpc_method_handler(self._join)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        pair = (Path(certificate.key).read_bytes(), Path(certificate.path).read_bytes())
        trusted = b"".join(self._register.certificates.values())
        port = server.add_secure_port(address, grpc.ssl_server_credentials([pair], trusted, require_client_auth=True))
        await server.start()
        self._server = server
        return int(port)

    async def _join(self, _: Any, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        import grpc

        shown = b"".join(context.auth_context().get("x509_pem_cert", ()))
        known = next((name for name, own in self._register.certificates.items() if same(own, shown)), "")
        told = dict(context.invocation_metadata() or ()).get(SILO, b"")
        claimed = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        if not known or claimed != known:
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, f"this certificate is not that of the silo {claimed!r}"
            )
        await context.send_initial_metadata(((WELCOME, "1"),))
        how = await self._lines[known].serve(context)
        if how == "displaced":
            await context.abort(grpc.StatusCode.ABORTED, f"another process has joined as the silo {known!r}")
        if how == "gone":  # an end without a word would be a goodbye
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")

    async def _close(self, goodbye: bool) -> None:
        if goodbye:
            for line in self._lines.values():
                line.end("goodbye")
        await self._server.stop(GRACE_SECONDS if goodbye else None)

    def _told(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_SECONDS)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def options(most_bytes: int) -> list[tuple[str, int]]:
    """Of either end: how long a message may be, and signs of life, so that one that is gone is noticed."""
    return [
        ("grpc.max_receive_message_length", most_bytes),
        ("grpc.max_send_message_length", most_bytes),
        ("grpc.keepalive_time_ms", ALIVE_MS),
        ("grpc.keepalive_timeout_ms", ALIVE_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", ALIVE_MS // 2),
    ]
