"""A broker as most are outside development: it speaks TLS and asks for a name and a password (SASL_SSL with PLAIN)."""

import contextlib
import datetime
import ipaddress
import secrets
import socket
import ssl
import struct
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from matchday.ports import LOOPBACK
from matchday.servers import Kafka
from matchday.servers.kafka import API_VERSIONS

USER = "matchday"
BROKER = "broker"  # the name under which it talks to itself
LASTS = datetime.timedelta(days=1)


class SecuredKafka(Kafka):
    """The runner's broker with another listener. `password` is that of `USER`, `ca_file` what vouches for it."""

    @property
    def password(self) -> str:
        return self._kept("password")

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def environment(self) -> dict[str, str]:
        """How a site reaches it."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_USERNAME": USER,
            "KAFKA_PASSWORD": self.password,
            "KAFKA_CA_FILE": str(self.ca_file),
        }

    def _write_properties(self) -> Path:
        path = super()._write_properties()
        self._make_certificates()
        own = self._kept("broker-password")
        login = (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{BROKER}" password="{own}"'
            f' user_{BROKER}="{own}" user_{USER}="{self.password}";'
        )
        written = dict(line.split("=", 1) for line in path.read_text("utf-8").splitlines())
        written |= {
            "listener.security.protocol.map": "BROKER:SASL_SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.broker.plain.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.directory / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
        }
        path.write_text("".join(f"{name}={value}\n" for name, value in written.items()), "utf-8")
        return path

    def _kept(self, name: str) -> str:
        """A password that is made once."""
        file = self.directory / name
        if not file.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            file.write_text(secrets.token_urlsafe(16), "utf-8")
        return file.read_text("utf-8")

    def _make_certificates(self) -> None:
        if self.ca_file.exists():
            return
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca = _certificate("tests' authority", ca_key, None, ca_key)
        certificate = _certificate("tests' broker", key, ca, ca_key)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.directory / "broker.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
        self.ca_file.write_bytes(ca.public_bytes(Encoding.PEM))

    def ready(self) -> bool:
        """Whether it answers an ApiVersions request, which it does before it asks who is calling."""
        with contextlib.suppress(OSError):
            context = ssl.create_default_context(cafile=str(self.ca_file))
            with (
                socket.create_connection((LOOPBACK, self.port), timeout=2.0) as plain,
                context.wrap_socket(plain, server_hostname=LOOPBACK) as connection,
            ):
                connection.sendall(struct.pack(">i", len(API_VERSIONS)) + API_VERSIONS)
                return len(connection.recv(8)) > 0
        return False


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """A certificate of this machine's loopback address by the issuer, or without one an authority's own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    is_authority = issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LASTS)
        .not_valid_after(now + LASTS)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_usage(is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address(LOOPBACK))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
