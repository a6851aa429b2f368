"""The support bundle: secrets are planted wherever people and programs leave them, and none may come out."""

from __future__ import annotations

import io
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner

from gateway.app.examine import patient_at
from gateway.app.support import MAX_FILE, write_bundle
from gateway.cli import main
from gateway.keys.generate import make_keys
from gateway.services.doctor import Host

PIN, TOKEN, PASSPHRASE, NUMBER = "4711", "tok_9f8e7d6c5b4a", "correct horse battery", "+491709999001"
NATIONAL, IMSI, WIFI = "01709999001", "262019999000001", "swordfish-77"

CONFIG = f"""\
# the wifi's password is {WIFI}; PIN {PIN}; ring {NATIONAL}
gateway: {{id: gw_1, location: {{lat: 1, lon: 2, name: "Hill, ring {NUMBER}"}}, type: sms}}
network: {{api_url: "http://127.0.0.1:9", ws_url: "ws://127.0.0.1:9"}}
storage: {{path: data/gateway.db}}
security: {{private_key_path: gateway.key, certificate_path: gateway.crt}}
gsm: {{port: /dev/nowhere, pin: "{PIN}", coordinator_number: "{NUMBER}"}}
radios:
  acme: {{driver: nowhere, options: {{passphrase: "{PASSPHRASE}", apiToken: "{TOKEN}"}}}}
"""


class Planted:
    """A gateway's folder and a machine, with secrets everywhere."""

    def __init__(self, folder: Path) -> None:
        self.root, self.config = folder / "root", folder / "home" / "config.yml"
        (self.config.parent / "data").mkdir(parents=True)
        self.config.write_text(CONFIG)
        make_keys(self.config.parent / "gateway.key", self.config.parent / "gateway.crt", "gw_1")
        pem = (self.config.parent / "gateway.key").read_text()
        self.body = pem.splitlines()[1]
        seed = b64decode(self.body)[-32:]
        self.secrets = [PIN, TOKEN, PASSPHRASE, NUMBER, NUMBER[1:], NATIONAL, IMSI, WIFI, self.body]
        self.secrets += [seed.hex(), b64encode(seed).decode()]
        (self.config.parent / "enrolment.token").write_text(f"{TOKEN}\n")
        (self.config.parent / "data" / "audit.jsonl").write_text(
            f'{{"act": "token add", "token": "{TOKEN}", "by": "{NUMBER}"}}\n' * 3
        )
        self.put("proc/cmdline", f"console=tty1 wifi_psk={WIFI} root=/dev/mmcblk0p2")
        self.put("boot/config.txt", f"dtparam=spi=on\n# password: {WIFI}\n")
        self.journal = "\n".join(
            [
                f'{{"message": "SIM", "pin": "{PIN}", "imsi": "{IMSI}", "peer": "{NUMBER[1:]}"}}',
                f"AT+CPIN={PIN} was refused; call {NUMBER} or {NATIONAL}",
                f"POST Authorization: Bearer {TOKEN}, https://me:{WIFI}@c.example",
                f"pasted {seed.hex()} and {b64encode(seed).decode()}",
                pem,
                f"passphrase = {PASSPHRASE}",
                "radio lora heard 17 frames",
            ]
        )

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def bundle(self, journal: str | None = None) -> dict[str, str]:
        def read(selection: Sequence[str]) -> str:
            return self.journal if journal is None else journal

        out = io.BytesIO()
        names = write_bundle(patient_at(self.config, None, Host(root=self.root)), out, read_journal=read)
        out.seek(0)
        with tarfile.open(fileobj=out) as archive:
            files = {one.name.removeprefix("offgrid-support/"): archive.extractfile(one) for one in archive}
            found = {name: file.read().decode() for name, file in files.items() if file is not None}
        assert list(found) == names
        return found


def test_no_secret_that_was_planted_comes_out_and_the_rest_can_be_read(tmp_path: Path) -> None:
    here = Planted(tmp_path)
    for text in (CONFIG, CONFIG[: CONFIG.index("radios:")]):  # unsound, then sound
        here.config.write_text(text)
        files = here.bundle()
        for name, content in files.items():
            assert [one for one in here.secrets if one in content] == [], name
        assert "radio lora heard 17 frames" in files["journal-gateway.txt"]
        assert "id: gw_1" in files["config.yml"]
        assert "private_key_path: gateway.key" in files["config.yml"]
        assert "dtparam=spi=on" in files["system/boot/config.txt"]
        assert '"name": "configuration"' in files["doctor.json"]
    assert "token add" in files["audit.jsonl"]
    assert "gateway.key" in files["files.txt"]


def test_every_file_is_bounded_and_its_newest_end_is_kept(tmp_path: Path) -> None:
    files = Planted(tmp_path).bundle("a line of the log\n" * 200_000 + "the last line\n")
    assert MAX_FILE - 100 < len(files["journal-gateway.txt"]) <= MAX_FILE
    assert files["journal-gateway.txt"].endswith("the last line\n")


def test_a_configuration_that_is_no_yaml_leaves_nothing_of_itself(tmp_path: Path) -> None:
    here = Planted(tmp_path)
    here.config.write_text(f"gsm: {{pin: {PIN}\n  token: [")
    files = here.bundle()
    assert files["config.yml"].startswith("# cannot be read")
    assert PIN not in files["doctor.json"]


def test_the_command_makes_a_file_for_its_owner_and_never_writes_over_one(tmp_path: Path) -> None:
    here, out = Planted(tmp_path), tmp_path / "bundle.tar.gz"
    arguments = ["support-bundle", "--config", str(here.config), "--output", str(out)]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, out.stat().st_mode & 0o777) == (0, 0o600), done.output
    again = CliRunner().invoke(main, arguments)
    assert (again.exit_code, "cannot be made: File exists" in again.output) == (1, True)
