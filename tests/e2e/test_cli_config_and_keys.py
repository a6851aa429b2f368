"""``check-config`` and ``keygen`` as a technician types them: what they print and how they exit."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.app.settings import store_settings
from gateway.config import Config, load
from gateway.model import Halt
from gateway.store import Store

ROOT = Path(__file__).parents[2]

CONFIG = """\
gateway: {id: gw_1, location: {lat: 1, lon: 2, name: Here}, type: mesh}
network: {api_url: https://c.example, ws_url: wss://c.example}
security: {private_key_path: etc/gateway.key, certificate_path: etc/gateway.crt}
"""

# A third party's package as pip would leave it: a module, and metadata with its entry point.
ACME = """\
from drivers.base import DriverStats
from drivers.errors import DriverConfigError

class Acme:
    def __init__(self, name, settings, *, clock):
        clock.monotonic()
        if settings.get("pin") == 0:
            raise DriverConfigError("pin 0 is wired to ground", fix="choose another pin")
        if "port" not in settings:
            raise DriverConfigError("no port given")

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    def stats(self):
        return DriverStats()

    async def frames(self):
        return
        yield
"""


def offgrid(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def acme(tmp_path: Path) -> str:
    (tmp_path / "acme.py").write_text(ACME)
    metadata = tmp_path / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entry_points = "acme = acme:Acme\nbroken = acme:Absent\n"
    (metadata / "entry_points.txt").write_text(f"[offgrid_gateway.drivers]\n{entry_points}")
    return str(tmp_path)


def test_help_lists_every_command_with_its_line() -> None:
    code, out, _ = offgrid("--help")

    assert code == 0
    for line in ("check-config", "keygen", "register", "Judge a configuration file"):
        assert line in out


def test_the_version_and_the_help_import_no_command_and_no_heavy_package() -> None:
    script = (
        "import sys; from gateway.cli import main; main(['--help'], standalone_mode=False); "
        "print({'pydantic', 'yaml', 'nacl', 'cryptography', 'aiohttp', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "set()"


def test_every_command_has_help_of_its_own() -> None:
    from gateway.cli import COMMANDS

    for name in COMMANDS:
        code, out, _ = offgrid(name, "--help")
        assert (code, out.startswith(f"Usage: offgrid-gateway {name}")) == (0, True)


def test_an_unknown_command_or_option_is_a_usage_error() -> None:
    assert offgrid("frobnicate")[0] == 2
    assert "No such command 'statsu'. Did you mean 'status'?" in offgrid("statsu")[2]
    assert offgrid("keygen", "--frobnicate")[0] == 2


def test_a_good_configuration_is_fine_and_its_surprises_are_noted(config: Path) -> None:
    code, out, err = offgrid("check-config", config)

    assert (code, err) == (0, "")
    fine, radios, *hints = out.splitlines()
    assert (fine, radios) == (f"{config}: fine", "note: radios: none")
    command = f"offgrid-gateway keygen --config {config}"
    assert f"hint: keys: {config.parent}/etc/gateway.key: no key here; run: {command}" in hints
    assert any(line.startswith("hint: coordinator-key: ") for line in hints)


def test_what_a_sound_configuration_lacks_on_disk_is_hinted_at(config: Path) -> None:
    offgrid("keygen", "--config", config)
    assert "hint: keys" not in offgrid("check-config", config)[1]
    (config.parent / "etc/gateway.key").chmod(0o644)
    assert "hint: keys: " in offgrid("check-config", config)[1]
    config.write_text(CONFIG + "lora: {frequency: 868, driver: lora_sx1301}\n")
    assert "hint: firmware: arb: missing" in offgrid("check-config", config)[1]


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    assert (
        offgrid("check-config", tmp_path)[2] == f"{tmp_path}: a folder; name the configuration file in it\n"
    )


def test_a_plain_network_is_noted(config: Path) -> None:
    config.write_text(CONFIG.replace("network: {", "network: {allow_insecure: true, "))

    assert "note: network.allow_insecure is set" in offgrid("check-config", config)[1]


def test_every_problem_of_a_configuration_is_printed_and_the_exit_code_is_two(config: Path) -> None:
    config.write_text(CONFIG.replace("gw_1", "GW 1").replace("lat: 1", "lat: 91") + "huttp: {}\n")
    code, out, err = offgrid("check-config", config)

    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"{config}:1:15: gateway.id: saw 'GW 1'; allowed: 1 to 20 of the characters a-z, 0-9, '_' and '-'",
        f"{config}:1:37: gateway.location.lat: saw 91; allowed: a number from -90 to 90",
        f"{config}:4:1: huttp: unknown setting; did you mean 'http'?",
    ]


def test_the_configuration_may_be_named_by_the_environment(config: Path) -> None:
    assert offgrid("check-config", OFFGRID_CONFIG=str(config))[1].startswith(f"{config}: fine")


def test_an_absent_configuration_is_named(tmp_path: Path) -> None:
    code, _, err = offgrid("check-config", tmp_path / "absent.yml")

    assert code == 2
    absent = f"{tmp_path}/absent.yml"
    assert err == f"{absent}: no such file; offgrid-gateway init --config {absent} writes one\n"


def test_an_installed_third_party_driver_is_found_and_judges_its_own_settings(
    config: Path, acme: str
) -> None:
    config.write_text(
        CONFIG
        + """\
radios:
  fine: {driver: acme, options: {port: 1}}
  grounded:
    driver: acme
    options:
      port: 1
      pin: 0
  bare:
    driver: acme
  unknown:
    driver: acne
  broken:
    driver: broken
"""
    )
    code, _, err = offgrid("check-config", config, PYTHONPATH=acme)
    lines = [line.removeprefix(f"{config}:") for line in err.splitlines()]

    assert code == 2
    assert len(lines) == 4
    assert lines[0] == "10:12: radios.grounded.options.pin: pin 0 is wired to ground; choose another pin"
    assert lines[1] == "11:3: radios.bare.options: no port given"
    assert lines[2].startswith("14:13: radios.unknown.driver: no driver named 'acne'; allowed: acme or ")
    assert lines[3].startswith("16:13: radios.broken.driver: driver 'broken' cannot be loaded")

    config.write_text(CONFIG + "radios: {hill: {driver: acme, options: {port: 1}}}\n")
    assert "note: radios: hill (acme)\n" in offgrid("check-config", config, PYTHONPATH=acme)[1]


def test_keygen_makes_both_files_and_prints_the_key_to_register(config: Path) -> None:
    code, out, err = offgrid("keygen", "--config", config)
    key, certificate = config.parent / "etc/gateway.key", config.parent / "etc/gateway.crt"

    assert (code, err) == (0, "")
    made, certified, public = out.splitlines()
    assert (made, certified) == (f"{key}: made", f"{certificate}: made")
    assert public.startswith("public key of gw_1: ")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in out

    code, again, _ = offgrid("keygen", "--config", config)
    assert code == 0
    assert again.splitlines() == [
        f"{key}: was there, left as it is",
        f"{certificate}: was there, left as it is",
        public,
    ]


def test_keygen_refuses_an_exposed_key_and_says_how_to_mend_it(config: Path) -> None:
    offgrid("keygen", "-c", config)
    key = config.parent / "etc/gateway.key"
    key.chmod(0o644)
    code, out, err = offgrid("keygen", "-c", config)

    assert (code, out) == (1, "")
    assert err == f"error: {key}: others can read this key (mode 0644); run: chmod 600 {key}\n"


def test_keygen_with_a_wrong_configuration_makes_nothing(config: Path) -> None:
    config.write_text(CONFIG.replace("gw_1", "GW"))

    assert offgrid("keygen", "-c", config)[0] == 2
    assert not (config.parent / "etc").exists()


@pytest.mark.parametrize(
    "owner",
    [
        "nobody-of-that-name",
        "root:nobody-of-that-name",
        "4294967290",
        "root:4294967295",
        "root:99999999999",
        "9" * 5000,
    ],
    ids=lambda owner: owner[:24],
)
def test_keygen_refuses_an_owner_that_does_not_exist(config: Path, owner: str) -> None:
    code, _, err = offgrid("keygen", "-c", config, "--owner", owner)

    assert code == 2
    assert "--owner" in err
    assert not (config.parent / "etc").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_keygen_gives_the_files_to_the_service_user(config: Path) -> None:
    account = pwd.getpwnam("nobody")

    assert offgrid("keygen", "-c", config, "--owner", "nobody")[0] == 0
    key = (config.parent / "etc/gateway.key").stat()
    assert (key.st_uid, key.st_gid) == (account.pw_uid, account.pw_gid)


def test_the_script_of_the_deployment_guide_makes_the_keys(config: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts/generate-keys.sh"],
        env={**os.environ, "OFFGRID_CONFIG": str(config)},
        cwd=config.parent,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "public key of gw_1: " in done.stdout
    assert (config.parent / "etc/gateway.key").exists()


@pytest.mark.parametrize("name", ["tests/fixtures/guide-config.yml", "config.example.yml"])
def test_the_guides_and_the_example_configuration_are_fine(name: str) -> None:
    code, out, err = offgrid("check-config", name)

    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{name}: fine"
    assert "note: radios: lora (lora_gwmp)" in out
    assert "note: lora.region is not set: the gateway listens and never transmits" in out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("port: 99999", "lora.options.port: port is 99999; give a whole number from 0 to 65535"),
        ("prot: 1700", "lora.options.prot: unknown setting 'prot'; use one of "),
    ],
)
def test_a_wrong_option_of_a_built_in_driver_is_named_with_its_line(
    config: Path, option: str, message: str
) -> None:
    config.write_text(f"{CONFIG}lora:\n  frequency: 868\n  options:\n    host: 127.0.0.1\n    {option}\n")
    code, _, err = offgrid("check-config", config)

    assert code == 2
    assert err.startswith(f"{config}:8:11: {message}")


def test_the_example_file_names_every_option_of_the_default_lora_driver() -> None:
    from drivers.lora_gwmp.settings import GwmpSettings

    text = (ROOT / "config.example.yml").read_text()
    for option in dataclasses.fields(GwmpSettings):
        assert f"  #   {option.name}: " in text


def test_keygen_makes_no_key_beside_a_log_that_another_has_signed(config: Path) -> None:
    here = config.parent
    config.write_text(CONFIG + "storage: {path: gateway.db, min_free_mb: 1}\n")
    asyncio.run(_sign(load(config)))
    code, _, err = offgrid("keygen", "--config", config)
    assert code == 1
    assert f"{here}/gateway.db holds the log offgrid/gw_1/1, signed by a key that is not at" in err
    assert f"run: offgrid-gateway keygen --config {config}" in err
    assert not (here / "etc/gateway.key").exists()


async def _sign(config: Config) -> None:
    async with Store(store_settings(config)) as store:
        await store.record_signed(0, b"a note")
        await store.halt(Halt(what="x", fix="y"))  # a commit of its own, which takes the note along


def test_commands_in_hints_run_as_they_stand(tmp_path: Path) -> None:
    config = tmp_path / "my config.yml"
    config.write_text(CONFIG)
    code, _, err = offgrid("run", "--config", config)
    assert code == 1
    assert err.endswith(f"no key here; run: offgrid-gateway keygen --config '{config}'\n")
    assert "offgrid-gateway keygen --config" in offgrid("run", OFFGRID_CONFIG=str(config))[2]
