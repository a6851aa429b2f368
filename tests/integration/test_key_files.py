"""Key files: made whole or not at all, never over another, refused when exposed, and fit for TLS."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from nacl.signing import VerifyKey

from gateway.core.pin import CoordinatorKey
from gateway.errors import FatalError, KeyFileError, NeedsPerson
from gateway.keys import durable, handed_over, is_handed_over, load_identity, pinned_key, store_pin
from gateway.keys.generate import make_keys


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "etc/gateway.key"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return tmp_path / "etc/gateway.crt"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_key_and_certificate_belong_together_and_sign(key: Path, certificate: Path) -> None:
    made = make_keys(key, certificate, "gw_1")

    assert made.new_files == (key, certificate)
    assert (mode(key), mode(certificate)) == (0o600, 0o644)
    assert sorted(os.listdir(key.parent)) == ["gateway.crt", "gateway.key"]
    VerifyKey(made.identity.public_key).verify(b"text", made.identity.sign(b"text"))
    assert "PRIVATE" not in repr(made.identity)


def test_the_certificate_names_the_gateway_and_has_no_end_that_a_wrong_clock_could_find(
    key: Path, certificate: Path
) -> None:
    made = make_keys(key, certificate, "gw_1")
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    [name] = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)

    assert name.value == "gw_1"
    assert parsed.public_key().public_bytes_raw() == made.identity.public_key  # type: ignore[union-attr]
    assert (parsed.not_valid_before_utc.year, parsed.not_valid_after_utc.year) == (1970, 9999)
    parsed.verify_directly_issued_by(parsed)


async def test_the_certificate_opens_a_mutual_tls_connection_with_strict_checks(
    key: Path, certificate: Path
) -> None:
    make_keys(key, certificate, "gw_1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.load_verify_locations(certificate)
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.load_cert_chain(certificate, key)
    seen: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("peercert"))
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert (await seen)["subject"] == ((("commonName", "gw_1"),),)


def test_what_is_there_is_never_overwritten(key: Path, certificate: Path) -> None:
    make_keys(key, certificate, "gw_1")
    before = key.read_bytes(), certificate.read_bytes()
    again = make_keys(key, certificate, "another")

    assert again.new_files == ()
    assert (key.read_bytes(), certificate.read_bytes()) == before
    with pytest.raises(FileExistsError):
        durable.create(key, b"other", mode=0o600)
    assert key.read_bytes() == before[0]
    assert sorted(os.listdir(key.parent)) == ["gateway.crt", "gateway.key"]


def test_a_crash_between_key_and_certificate_is_mended_by_the_next_call(key: Path, certificate: Path) -> None:
    first = make_keys(key, certificate, "gw_1")
    certificate.unlink()
    second = make_keys(key, certificate, "gw_1")

    assert second.new_files == (certificate,)
    assert second.identity.public_key == first.identity.public_key


def test_a_certificate_without_its_key_is_left_alone(key: Path, certificate: Path) -> None:
    make_keys(key, certificate, "gw_1")
    key.unlink()

    with pytest.raises(KeyFileError, match="a certificate without its key"):
        make_keys(key, certificate, "gw_1")
    assert not key.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "etc"
    blocker.write_text("a file where the folder should be")

    with pytest.raises(KeyFileError, match="cannot be written"):
        make_keys(blocker / "gateway.key", blocker / "gateway.crt", "gw_1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_files_belong_to_the_service_user(key: Path, certificate: Path) -> None:
    make_keys(key, certificate, "gw_1", durable.Owner(12345, 23456))

    for path in (key, certificate):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@pytest.mark.parametrize("name", ["create", "replace"])
def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_is_on_disk_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[str] = []
    sync, link, rename = os.fsync, os.link, os.replace

    def synced(descriptor: int) -> None:
        seen.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def named(call: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        seen.append("name")
        call(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", functools.partial(named, link))
    monkeypatch.setattr(os, "replace", functools.partial(named, rename))
    getattr(durable, name)(tmp_path / "file", b"content", mode=0o600)

    assert seen == ["file", "name", "directory"]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.mkdir()  # a directory cannot be replaced by a file

    with pytest.raises(OSError, match="directory"):
        durable.replace(path, b"x", mode=0o644)
    assert os.listdir(tmp_path) == ["pin"]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o602])
def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(
    key: Path, certificate: Path, bits: int
) -> None:
    make_keys(key, certificate, "gw_1")
    key.chmod(bits)

    with pytest.raises(KeyFileError, match=f"mode {bits:04o}.; run: chmod 600 {key}"):
        load_identity(key, certificate)
    key.chmod(0o400)
    load_identity(key, certificate)


def pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encrypted() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: b"", "not a private key; expected unencrypted PKCS #8 in PEM"),
        (lambda: b"\xff\xfe", "not a private key"),
        (lambda: b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n", "not a private key"),
        (encrypted, "not a private key; expected unencrypted"),
        (lambda: pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key"),
        (lambda: pem(rsa.generate_private_key(65537, 2048)), "not an Ed25519 key"),
        (lambda: pem(ed25519.Ed25519PrivateKey.generate())[:-40], "not a private key"),
    ],
)
def test_a_file_that_is_no_ed25519_key_is_refused_by_what_it_is(
    key: Path, certificate: Path, content: Callable[[], bytes], words: str
) -> None:
    make_keys(key, certificate, "gw_1")
    key.write_bytes(content())

    with pytest.raises(KeyFileError, match=words) as caught:
        load_identity(key, certificate)
    assert isinstance(caught.value, FatalError)


def test_missing_and_unreadable_files_are_told_apart(key: Path, certificate: Path) -> None:
    with pytest.raises(KeyFileError, match=r"no key here; run: offgrid-gateway keygen"):
        load_identity(key, certificate)
    make_keys(key, certificate, "gw_1")
    certificate.unlink()
    with pytest.raises(KeyFileError, match=r"no certificate here; run: offgrid-gateway keygen"):
        load_identity(key, certificate)
    certificate.mkdir()
    with pytest.raises(KeyFileError, match="the certificate cannot be read: Is a directory"):
        load_identity(key, certificate)
    key.unlink()
    key.mkdir()
    with pytest.raises(KeyFileError, match="the key cannot be read: Is a directory"):
        load_identity(key, certificate)


def test_a_certificate_of_another_key_or_no_certificate_is_refused(
    key: Path, certificate: Path, tmp_path: Path
) -> None:
    make_keys(key, certificate, "gw_1")
    make_keys(tmp_path / "b.key", tmp_path / "b.crt", "gw_2")

    with pytest.raises(KeyFileError, match="is for another key than"):
        load_identity(key, tmp_path / "b.crt")
    certificate.write_text("garbage")
    with pytest.raises(KeyFileError, match="not a certificate in PEM"):
        load_identity(key, certificate)


PIN = CoordinatorKey(bytes(range(32)), "coordinator.example.org/w1")
OTHER = CoordinatorKey(bytes(32), "coordinator.example.org/w1")


def test_a_pinned_key_survives_and_pinning_it_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "var/coordinator.vkey"

    assert store_pin(path, PIN)
    assert not store_pin(path, PIN)
    assert path.read_text() == f"{PIN}\n"
    assert pinned_key(None, path) == PIN


def test_a_configured_key_wins_over_the_file(tmp_path: Path) -> None:
    store_pin(tmp_path / "pin", PIN)

    assert pinned_key(OTHER, tmp_path / "pin") == OTHER


def test_another_coordinators_key_needs_a_person(tmp_path: Path) -> None:
    store_pin(tmp_path / "pin", PIN)

    with pytest.raises(NeedsPerson, match="is pinned; if the coordinator has told you so, remove"):
        store_pin(tmp_path / "pin", OTHER)
    assert pinned_key(None, tmp_path / "pin") == PIN


def test_without_a_pin_or_with_a_damaged_one_a_person_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    with pytest.raises(NeedsPerson, match="is not known; run: offgrid-gateway register"):
        pinned_key(None, path)
    for damage in (b"", b"garbage", b"\xff"):
        path.write_bytes(damage)
        with pytest.raises(NeedsPerson, match="remove it and run: offgrid-gateway register"):
            pinned_key(None, path)
    path.unlink()
    path.mkdir()
    with pytest.raises(NeedsPerson, match="cannot be read"):
        pinned_key(None, path)


def test_a_key_that_systemd_hands_over_is_taken_in_place_of_the_file(tmp_path: Path) -> None:
    key = tmp_path / "etc" / "gateway.key"
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert handed_over(key, credentials) == key
    (tmp_path / "gateway.key").touch()
    assert handed_over(key, credentials) == tmp_path / "gateway.key"
    assert handed_over(key, {}) == key


def test_a_credential_may_show_its_acl_as_the_groups_right_and_no_more(key: Path) -> None:
    certificate = key.with_name("gateway.crt")
    made = make_keys(key, certificate, "gw_1").identity
    key.chmod(0o440)  # as systemd 257 hands it over
    with pytest.raises(KeyFileError, match="others can read this key"):
        load_identity(key, certificate)
    assert load_identity(key, certificate, guarded=True).public_key == made.public_key
    key.chmod(0o444)
    with pytest.raises(KeyFileError, match="others can read this key"):
        load_identity(key, certificate, guarded=True)


def test_whether_systemd_hands_a_key_over_stands_in_the_unit_or_in_a_drop_in_of_it(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "systemd" / "offgrid-gateway.service"
    units = tmp_path / "usr/lib/systemd/system"
    default, own = Path("/etc/offgrid/gateway.key"), Path("/srv/gateway.key")
    assert not is_handed_over(default, tmp_path)
    units.mkdir(parents=True)
    (units / shipped.name).write_text(shipped.read_text())
    assert (is_handed_over(default, tmp_path), is_handed_over(own, tmp_path)) == (True, False)
    drop_ins = tmp_path / "etc/systemd/system/offgrid-gateway.service.d"
    drop_ins.mkdir(parents=True)
    (drop_ins / "key.conf").write_text("[Service]\nLoadCredential=gateway.key:/srv/gateway.key\n")
    assert is_handed_over(own, tmp_path)


def test_a_file_that_keeps_its_owner_is_written_where_changing_owners_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under the shipped unit: its system call filter answers every chown(2) with EPERM."""

    def forbidden(descriptor: int, uid: int, gid: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", forbidden)
    durable.replace(tmp_path / "airtime.json", b"{}", mode=0o644)
    assert (tmp_path / "airtime.json").read_bytes() == b"{}"
    with pytest.raises(PermissionError):
        durable.replace(tmp_path / "airtime.json", b"[]", mode=0o644, owner=durable.Owner(1, 1))
