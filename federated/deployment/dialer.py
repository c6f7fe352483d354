"""A silo's side of the connection: it dials out, answers what it is asked, and comes back when it is cut off."""

import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from cluster.user_error import UserError
from federated.deployment.listener import METHOD, MOST_BYTES, SERVICE, SILO, WELCOME, options
from framework.serving.tls import Certificate, CertificateError

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0  # seconds between two tries; each is twice the one before
KNOCK_SECONDS = 20.0
HANG_UPS = 3  # in a row, after which it is the certificate: one may be a coordinator that is just closing


class JoinError(UserError):
    """A federation that a silo cannot join, or can no longer take part in."""


class AwayError(Exception):
    """A coordinator that is not there now and may be later."""


class HungUpError(AwayError):
    """A coordinator that ends a connection right after the handshake: as it does to certificates that it does not know,
    without a word."""


class Dialer:
    """answer: a question's bytes → the answer's, as `Silo.answer`.

    trusted: the coordinator's certificate, PEM; no other is spoken to. patience: seconds without a coordinator before
    it gives up. tell: told when the connection comes and goes.
    """

    def __init__(
        self,
        address: str,
        name: str,
        certificate: Certificate,
        trusted: bytes,
        answer: Callable[[bytes], bytes],
        *,
        patience: float = 600.0,
        most_bytes: int = MOST_BYTES,
        tell: Callable[[str], None] = log.info,
    ) -> None:
        """Raises JoinError for an address that is not HOST:PORT."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise JoinError(f"{address!r} is no HOST:PORT of a coordinator, such as coordinator.example:7443.")
        self._where, self._address = (host.strip("[]"), int(port)), address
        self._name, self._certificate, self._trusted, self._answer = name, certificate, trusted, answer
        self._patience, self._most, self._tell = patience, most_bytes, tell
        self._met = False
        self.answered = 0

    def run(self) -> int:
        """Answers until the coordinator says goodbye; how many questions it answered.

        Raises JoinError where it is refused, displaced by another process of the same name, or finds no coordinator;
        CertificateError where one side does not trust the other's certificate.
        """
        last, pause, hung_up = time.monotonic(), FIRST_PAUSE, 0
        while True:
            self._met = False
            try:
                self._knock()
                self._converse()
                return self.answered
            except AwayError as error:
                reason = str(error)
                hung_up = hung_up + 1 if isinstance(error, HungUpError) else 0
            if hung_up >= HANG_UPS:
                raise CertificateError(
                    f"the coordinator at {self._address} refuses the certificate {self._certificate.path}. It has to "
                    f"be in its register, and valid."
                )
            if self._met:
                last, pause = time.monotonic(), FIRST_PAUSE
            if not hung_up and time.monotonic() - last >= self._patience:
                raise JoinError(
                    f"no coordinator at {self._address} for {self._patience:g} s ({reason}). Start it, check the "
                    f"address, or allow more patience."
                )
            self._tell(f"silo {self._name!r}: no coordinator at {self._address} ({reason}); it is tried again")
            time.sleep(random.uniform(0.5, 1.0) * pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _knock(self) -> None:
        """Shakes hands once by Python's own TLS, whose errors say which side does not trust which."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._trusted.decode())
        context.load_cert_chain(self._certificate.path, self._certificate.key)
        context.set_alpn_protocols(["h2"])
        try:
            with (
                socket.create_connection(self._where, timeout=KNOCK_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=self._where[0]) as talk,
            ):
                self._greeted(talk)
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(
                f"what answers at {self._address} is not the coordinator that is trusted ({error.verify_message}). "
                f"Pass its own certificate as --trusted, made for the host that is dialled."
            ) from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise AwayError("it hung up") from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise CertificateError(f"what answers at {self._address} does not speak TLS ({reason}).") from error
        except OSError as error:
            raise AwayError(error.strerror or str(error)) from error

    def _greeted(self, talk: ssl.SSLSocket) -> None:
        """Waits for the first byte: a server speaks first where it lets one in."""
        try:
            if talk.recv(1):
                return
        except TimeoutError:
            raise
        except OSError:  # an alert, or a connection that is reset
            pass
        raise HungUpError("it hung up")

    def _converse(self) -> None:
        """Returns at the coordinator's goodbye. Raises AwayError where the connection ends otherwise."""
        import grpc

        own, shown = Path(self._certificate.key).read_bytes(), Path(self._certificate.path).read_bytes()
        credentials = grpc.ssl_channel_credentials(self._trusted, own, shown)
        # A pool of its own, else gRPC's own pauses come on top of ours.
        chosen = [*options(self._most), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        answers: SimpleQueue[bytes | None] = SimpleQueue()
        with grpc.secure_channel(self._address, credentials, chosen) as channel:
            join = channel.stream_stream(f"/{SERVICE}/{METHOD}")
            call = join(iter(answers.get, None), metadata=((SILO, self._name.encode()),))
            try:
                self._met = WELCOME in dict(call.initial_metadata() or ())
                if self._met:
                    self._tell(f"silo {self._name!r}: connected to {self._address}")
                for request in call:
                    answers.put(self._answer(request))
                    self.answered += 1
            except grpc.RpcError as error:
                self._ended(error)
            finally:
                answers.put(None)
                call.cancel()

    def _ended(self, error: "grpc.RpcError") -> None:
        import grpc

        codes = grpc.StatusCode
        if error.code() in (codes.PERMISSION_DENIED, codes.ABORTED, codes.RESOURCE_EXHAUSTED, codes.UNIMPLEMENTED):
            raise JoinError(
                f"the coordinator at {self._address} ended it for the silo {self._name!r}: {error.details()}."
            ) from error
        raise AwayError(error.details() or str(error.code())) from error
