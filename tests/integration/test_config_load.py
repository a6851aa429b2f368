"""Configuration files: the guide's example, the documented example, and every way to be wrong."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from drivers.lora_sx1301.settings import DEFAULTS
from gateway.config import (
    Config,
    Radio,
    Section,
    concentrator_settings,
    control_socket_of,
    gps_setup,
    load,
    radio_setups,
)
from gateway.core.pin import CoordinatorKey
from gateway.errors import ConfigError
from gateway.systemclock import SystemClock

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "tests/fixtures/guide-config.yml"
EXAMPLE = ROOT / "config.example.yml"

SMALL = """\
gateway: {id: gw_1, location: {lat: 1, lon: 2, name: Here}, type: mesh}
network: {api_url: https://c.example, ws_url: wss://c.example}
"""

INSECURE = (
    "ws:// can be read and changed on the way; allowed: wss://, or ws:// to this machine, "
    "or with network.allow_insecure: true"
)
RADIO_NAME = "allowed: a name of up to 16 of the characters a-z, 0-9 and '_', beginning with a letter"


def problems(folder: Path, text: str, *, clock: SystemClock | None = None) -> list[str]:
    path = folder / "c.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, clock=clock)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def loaded(folder: Path, text: str) -> Config:
    path = folder / "c.yml"
    path.write_text(text)
    return load(path)


def test_the_deployment_guides_example_loads_unchanged() -> None:
    config = load(GUIDE)

    assert config.gateway.id == "gw_rural_01"
    assert config.gateway.location.name == "Rural District A"
    assert config.network.reconnect_interval == 5000
    assert config.lora is not None
    assert (config.lora.frequency, config.lora.region) == (915, None)
    assert (config.storage.max_snapshots, config.storage.retention_days) == (1000, 90)
    assert config.security.private_key_path == Path("/etc/offgrid/gateway.key")


def test_the_smallest_configuration_has_defaults_for_the_rest(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALL)

    assert config.lora is None
    assert config.http.port == 8080
    assert config.metrics.port == 9090
    assert config.storage.path == Path("/var/lib/offgrid/gateway.db")
    assert config.storage.pin_path == Path("/var/lib/offgrid/coordinator.vkey")
    assert radio_setups(config) == ()


def test_a_section_with_every_line_commented_out_means_its_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, SMALL + "http:\n#  port: 1\nlora:\n").http.port == 8080


def test_all_problems_come_at_once_in_file_order_with_place_and_remedy(tmp_path: Path) -> None:
    text = """\
gateway:
  id: GW_Rural
  location: {lat: 140.7, lon: yes}
  type: lorra
  type: mesh
network:
  ws_url: ws://10.0.0.1
  reconect_interval: 5000
  tls: [1]
lora:
  frequency: 433
  spreading_factor: 7.0
  options: 5
radios:
  Foo: {driver: acme}
  bar: {drivr: 1}
bananas: 1
"""
    assert problems(tmp_path, text) == [
        "2:7: gateway.id: saw 'GW_Rural'; allowed: 1 to 20 of the characters a-z, 0-9, '_' and '-'",
        "3:3: gateway.location.name: missing; allowed: text of 1 to 80 characters",
        "3:19: gateway.location.lat: saw 140.7; allowed: a number from -90 to 90",
        "3:31: gateway.location.lon: saw yes; allowed: a number from -180 to 180",
        "4:9: gateway.type: saw 'lorra'; allowed: lora or mesh or sms",
        "5:3: gateway.type: given twice; the first is in line 4",
        "6:1: network.api_url: missing; allowed: https://host[:port][/path]",
        f"7:11: network.ws_url: saw 'ws://10.0.0.1'; {INSECURE}",
        "8:3: network.reconect_interval: unknown setting; did you mean 'reconnect_interval'?",
        "9:8: network.tls: saw a list; allowed: a section with ca_path, client_certificate",
        "11:14: lora.frequency: saw 433; allowed: 915 or 868",
        "12:21: lora.spreading_factor: saw 7.0; allowed: a whole number from 7 to 12",
        "13:12: lora.options: saw 5; allowed: a mapping of the driver's own settings",
        f"15:3: radios.Foo: {RADIO_NAME}",
        "16:3: radios.bar.driver: missing; allowed: the name of an installed driver",
        "16:9: radios.bar.drivr: unknown setting; did you mean 'driver'?",
        "17:1: bananas: unknown setting; known here: " + ", ".join(Config.model_fields),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "lora: {frequency: 915, region: EU868}",
            "lora.region: saw 'EU868'; allowed with frequency 915: US915",
        ),
        ("lora: {frequency: 915, region: AU915}", "lora.region: saw 'AU915'; allowed: EU868 or US915"),
        (
            "lora: {frequency: 868, tx_power: .nan}",
            "lora.tx_power: saw .nan; allowed: a number from",
        ),
        (
            "lora: {frequency: 868, driver: null}",
            "lora.driver: saw nothing; allowed: the name of",
        ),
        ("metrics: {port: 8080}", "metrics: port 8080 is http.port already; allowed: another one"),
        ("metrics: {port: true}", "metrics.port: saw true; allowed: a whole number from 0 to 65535"),
        ("radios: {lora: {driver: x}}", "radios: the names of the built-in radios are taken: lora"),
        ("radios: {http: {driver: x}}", "radios: the names of the built-in radios are taken: http"),
        ("radios: [x]", "radios: saw a list; allowed: a mapping from a name to its settings"),
        ("storage: {synchronous: OFF}", "storage.synchronous: unknown setting; known here: max_snapshots"),
        ("storage: {path: 5}", "storage.path: saw 5; allowed: a path"),
        ("storage: {path: ''}", "storage.path: saw ''; allowed: a path"),
        ("limits: {radio: {messages_per_minute: 0}}", "limits.radio.messages_per_minute: saw 0; allowed: a"),
        (
            "limits: {blocked_devices: [1234567890123456]}",
            "limits.blocked_devices.0: saw 1234567890123456; allowed: a device id of 16 hexadecimal digits",
        ),
        (
            "limits: {blocked_devices: ['0011223344556677', 001122334455667g]}",
            "limits.blocked_devices.1: saw '001122334455667g'; allowed: a device id of 16",
        ),
        (
            "limits: {blocked_devices: '0011223344556677'}",
            "limits.blocked_devices: saw '0011223344556677'; allowed: a list of at most 1024 device ids",
        ),
        (
            f"limits: {{blocked_devices: [{', '.join(f'a{n:015}' for n in range(1025))}]}}",
            "limits.blocked_devices: saw a list; allowed: a list of at most 1024 device ids or public keys",
        ),
        ("logging: {level: loud}", "logging.level: saw 'loud'; allowed: debug or info or warning or error"),
        ("http: {host: 'a b'}", "http.host: saw 'a b'; allowed: an address to listen on"),
        ("http: no", "http: saw no; allowed: a section with enabled, host, port"),
        ("http: {enabled: 1}", "http.enabled: saw 1; allowed: true or false"),
    ],
)
def test_each_setting_says_what_it_allows(tmp_path: Path, line: str, message: str) -> None:
    [problem] = problems(tmp_path, SMALL + line + "\n")

    assert message in problem
    assert problem.startswith("3:")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://c.example", "can be read and changed on the way"),
        ("ftp://c.example", "allowed: https://host"),
        ("c.example", "no host or port"),
        ("https://", "no host or port"),
        ("https://c.example:99999", "Port out of range"),
        ("https://c.example:0", "no host or port"),
        ("https://c.example/?x=1", "no user, password"),
        ("https://c.example/#x", "no user, password"),
        ("https://me:secret@c.example", "no user, password"),
        ("https://[::1", "Invalid IPv6"),
        ("https://a b", "only printable ASCII"),
        ("https://c.example\\n", "only printable ASCII"),
        ("https://caf\u00e9.example", "only printable ASCII"),
        ("https://a..b", "label"),
        ("https://" + "a" * 70, "label"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(tmp_path: Path, url: str, words: str) -> None:
    [problem] = problems(tmp_path, SMALL.replace("https://c.example", f'"{url}"'))

    assert "network.api_url" in problem
    assert words in problem
    assert "secret" not in problem


@pytest.mark.parametrize("host", ["localhost:8443", "127.0.0.1:80", "127.9.9.9", "[::1]:8000"])
def test_plain_http_is_allowed_to_this_machine(tmp_path: Path, host: str) -> None:
    text = SMALL.replace("https://c.example", f"'http://{host}/base/'").replace(
        "wss://c.example", f"'ws://{host}/sync'"
    )
    config = loaded(tmp_path, text)

    assert config.network.api_url == f"http://{host}/base"
    assert config.network.ws_url == f"ws://{host}/sync"


def test_plain_http_elsewhere_is_allowed_when_a_person_says_so(tmp_path: Path) -> None:
    text = SMALL.replace("network: {", "network: {allow_insecure: true, ").replace("https:", "http:")

    assert loaded(tmp_path, text).network.api_url == "http://c.example"


def test_the_coordinators_key_is_read_or_refused(tmp_path: Path) -> None:
    vkey = "coordinator.example.org/w1+46598b25+BBnpAKfIyy3zPBncurw+Rq+jDEsb6qZqaWwrWvKaxifz"
    good = SMALL.replace("network: {", f"network: {{coordinator_key: {vkey}, ")

    assert loaded(tmp_path, good).network.coordinator_key == CoordinatorKey.parse(vkey)
    [problem] = problems(tmp_path, good.replace("46598b25", "46598b26"))
    assert "states key id '46598b26'" in problem
    [problem] = problems(tmp_path, good.replace(vkey, "5"))
    assert "saw 5; allowed: a vkey, or the base64 of 32 bytes" in problem


def test_blocked_devices_are_read_as_people_type_them(tmp_path: Path) -> None:
    text = SMALL + f"limits: {{blocked_devices: ['0011223344556677', {'Ab' * 32}, {'aB' * 32}]}}\n"

    assert loaded(tmp_path, text).limits.blocked_devices == {"0011223344556677", "ab" * 32}


def test_a_lora_gateway_needs_its_section(tmp_path: Path) -> None:
    text = SMALL.replace("mesh", "lora")

    assert problems(tmp_path, text) == [
        "1:1: lora: gateway.type is lora; this section is required (lora.driver: none for no radio)"
    ]
    assert radio_setups(loaded(tmp_path, text + "lora: {frequency: 868, driver: none}\n")) == ()


def test_relative_paths_count_from_the_files_own_folder(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALL + "storage: {path: data/g.db}\nruntime_dir: /run/x\n")

    assert config.storage.path == tmp_path / "data/g.db"
    assert config.runtime_dir == Path("/run/x")


def test_every_radio_is_handed_out_with_its_drivers_own_settings(tmp_path: Path) -> None:
    text = "lora: {frequency: 868, options: {port: 1}}\nradios: {hill: {driver: acme, options: {pin: 2}}}\n"
    lora, hill = radio_setups(loaded(tmp_path, SMALL + text))

    assert (lora.name, lora.driver, lora.settings, lora.path) == ("lora", "lora_gwmp", {"port": 1}, "lora")
    assert (hill.name, hill.driver, hill.settings, hill.path) == ("hill", "acme", {"pin": 2}, "radios.hill")


def test_a_bluetooth_radio_is_named_after_the_gateway_and_absent_without_its_section(tmp_path: Path) -> None:
    assert radio_setups(loaded(tmp_path, SMALL + "ble: null\n")) == ()
    text = SMALL + "ble: {controller: 'usb:0', options: {max_links: 3}}\n"
    [ble] = radio_setups(loaded(tmp_path, text + "radios: {}\n"))

    assert (ble.name, ble.driver, ble.path) == ("ble", "ble", "ble")
    assert ble.settings == {"id": "gw_1", "controller": "usb:0", "max_links": 3}
    more = "radios: {far: {driver: ble, options: {controller: 'usb:1'}}}\n"
    far = radio_setups(loaded(tmp_path, text + more))[1]
    assert far.settings == {"id": "gw_1", "controller": "usb:1"}


def test_the_drivers_own_settings_are_judged_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text(SMALL + "ble:\n  controller: serial:/dev/ttyACM0\n  options: {max_links: 99}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, clock=SystemClock())
    [problem] = caught.value.problems
    assert (problem.line, problem.path) == (4, "ble.controller")
    assert "write serial:/dev/ttyACM0,rtscts" in problem.message


def test_a_modem_is_a_radio_whose_settings_come_from_its_section(tmp_path: Path) -> None:
    assert radio_setups(loaded(tmp_path, SMALL + "gsm: null\n")) == ()
    text = SMALL + "gsm: {port: /dev/ttyUSB2, pin: '0123', options: {sweep_s: 9}}\n"
    [gsm] = radio_setups(loaded(tmp_path, text))
    assert (gsm.name, gsm.driver, gsm.path) == ("gsm", "gsm_at", "gsm")
    assert gsm.settings == {
        "port": "/dev/ttyUSB2",
        "pin": "0123",
        "per_minute": 8,
        "per_day": 300,
        "may_reset_bearer": False,
        "spool": "/var/lib/offgrid/gsm",
        "sweep_s": 9,
    }
    path = tmp_path / "config.yml"
    path.write_text(SMALL + "gsm:\n  pin: 'abcd'\n")
    with pytest.raises(ConfigError) as caught:
        load(path, clock=SystemClock())
    [problem] = caught.value.problems
    assert problem.path == "gsm.pin"


def test_a_pin_is_not_repeated_in_what_is_said_of_it(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, SMALL + "gsm: {pin: 987}\n")
    assert "gsm.pin: allowed: 4 to 8 digits, in quotes" in problem
    assert "987" not in problem


def test_the_coordinators_number_names_its_country(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, SMALL + "gsm: {coordinator_number: '0171'}\n")
    assert "saw '0171'; allowed: a number with its country" in problem


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yml: no such file; offgrid-gateway init"):
        load(tmp_path / "absent.yml")
    with pytest.raises(ConfigError, match="a folder; name the configuration file"):
        load(tmp_path)


def test_a_driver_that_is_none_for_its_section_is_refused_with_those_that_are(tmp_path: Path) -> None:
    gps, lora, hill = problems(
        tmp_path,
        SMALL
        + """\
gps: {driver: lora_gwmp}
lora: {frequency: 868, driver: gps}
radios: {hill: {driver: gps}}
""",
        clock=SystemClock(),
    )
    assert "gps.driver: saw 'lora_gwmp', which is no driver that tells where it is; allowed: gps" in gps
    assert "lora.driver: saw 'gps'" in lora
    assert "allowed: lora_gwmp or lora_sx1301, or none for no LoRa radio" in lora
    assert "radios.hill.driver: saw 'gps', which is no driver that receives; allowed: ble or gsm_at" in hill


def test_drivers_judge_their_options_whatever_else_is_wrong(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
gateway: {id: WRONG, location: {lat: 91, lon: 2, name: Here}, type: lora}
network: {api_url: https://c.example}
lora: {frequency: 900, region: XY, options: {port: 1000000}}
""",
        clock=SystemClock(),
    )
    wrong = ("gateway.id", "gateway.location.lat", "network.ws_url", "lora.frequency", "lora.region")
    assert [any(f" {path}: " in one for one in found) for path in wrong] == [True] * 5
    assert "lora.options.port: port is 1000000" in found[-1]


def test_the_control_socket_is_found_by_a_file_that_is_wrong_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    assert control_socket_of(path) == Path("/run/offgrid/control.sock")
    path.write_text("gateway: {id: WRONG}\nruntime_dir: here\n")
    assert control_socket_of(path) == tmp_path / "here" / "control.sock"
    path.write_text("runtime_dir: [1, 2]\n")
    assert control_socket_of(path) == Path("/run/offgrid/control.sock")


def test_the_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALL + "radios: {hill: {driver: acme, options: {pin: 2}}}\n")

    with pytest.raises(ValidationError):
        config.http.port = 1
    with pytest.raises(TypeError):
        config.radios["hill"].options["pin"] = 3
    with pytest.raises(TypeError):
        config.radios["more"] = config.radios["hill"]


def concentrator(frequency: int, region: str, options: str) -> str:
    lora = f"frequency: {frequency}, region: {region}, antenna_gain_dbi: 2.5, driver: lora_sx1301"
    return SMALL + f"storage: {{path: state/gateway.db}}\nlora: {{{lora}, options: {options}}}\n"


def test_a_concentrator_learns_from_the_lora_section_what_it_needs(tmp_path: Path) -> None:
    [setup] = radio_setups(loaded(tmp_path, concentrator(915, "US915", "{address: 'spidev:1.0'}")))
    assert setup.settings == {
        "address": "spidev:1.0",
        "plan": "US915",
        "region": "US915",
        "antenna_gain_dbi": 2.5,
        "firmware": str(tmp_path / "state/firmware"),
        "duty_cycle": False,
    }


def test_explicit_options_of_a_concentrator_go_first(tmp_path: Path) -> None:
    options = "{antenna_gain_dbi: 6.0, firmware: /opt/firmware, duty_cycle: true}"
    [setup] = radio_setups(loaded(tmp_path, concentrator(868, "null", options)))
    told = setup.settings
    assert (told["antenna_gain_dbi"], told["firmware"], told["duty_cycle"]) == (6.0, "/opt/firmware", True)
    assert (told["plan"], told["region"]) == ("EU868", None)


def test_firmware_stands_where_the_driver_looks_by_itself(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALL)
    assert concentrator_settings(config) == {"firmware": "/var/lib/offgrid/firmware", "duty_cycle": False}
    assert DEFAULTS["firmware"] == "/var/lib/offgrid/firmware"


def test_a_wrong_option_of_a_concentrator_is_named_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text(concentrator(868, "EU868", "{spi_hz: 5}"))
    with pytest.raises(ConfigError) as caught:
        load(path, clock=SystemClock())
    [problem] = caught.value.problems
    assert problem.path == "lora.options.spi_hz"


def test_a_gps_is_there_when_its_section_is(tmp_path: Path) -> None:
    assert gps_setup(loaded(tmp_path, SMALL)) is None
    assert gps_setup(loaded(tmp_path, SMALL + "gps:\n")) is None
    setup = gps_setup(loaded(tmp_path, SMALL + "gps: {}\n"))
    assert setup is not None
    assert (setup.driver, setup.settings) == ("gps", {"address": "/dev/ttyAMA0", "baud": 9600})


@pytest.mark.parametrize(
    ("rate", "problem"),
    [
        ("beacon_seconds: 30", "saw 30; allowed: 0 for none, or 60 to 86400"),
        ("spreading_factor: 12, beacon_seconds: 60", "EU868 has no room for a beacon at spreading_factor 12"),
        ("bandwidth: 500, beacon_seconds: 60", "EU868 has no room for a beacon at spreading_factor 7"),
    ],
)
def test_a_beacon_that_could_not_be_sent_is_refused(tmp_path: Path, rate: str, problem: str) -> None:
    text = SMALL + f"lora: {{frequency: 868, region: EU868, {rate}}}\n"
    [said] = problems(tmp_path, text)
    assert problem in said


@pytest.mark.parametrize(("frequency", "rate"), [(868, "7"), (868, "10"), (915, "7")])
def test_the_guides_rate_carries_a_beacon_in_every_region(tmp_path: Path, frequency: int, rate: str) -> None:
    region = {868: "EU868", 915: "US915"}[frequency]
    lora = f"frequency: {frequency}, region: {region}, spreading_factor: {rate}, beacon_seconds: 60"
    assert loaded(tmp_path, SMALL + f"lora: {{{lora}}}\n").lora is not None


def sections(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every setting that a model knows, with its default."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation]
        if typing.get_origin(field.annotation) is not dict:
            kinds += typing.get_args(field.annotation)
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
        if inner:
            yield from sections(inner[0], (*path, name))
        else:
            yield (*path, name), field.get_default(call_default_factory=True)


def uncommented(section: str, text: str) -> str:
    """``text`` with the section that stands there in comments, in place of its null or empty default."""
    block = re.search(rf"^#   {section}:\n(#     .*\n)+", text, re.MULTILINE)
    assert block is not None
    written = re.sub("^#   ", "", block[0], flags=re.MULTILINE)
    return re.sub(rf"^{section}: (null|{{}})\n", "", text.replace(block[0], written), flags=re.MULTILINE)


def full_example() -> str:
    """The example with every section that is not there by default written out."""
    text = EXAMPLE.read_text()
    for section in ("gps", "ble", "gsm", "backup", "mesh"):
        text = uncommented(section, text)
    return text


def example_lines() -> dict[tuple[str, ...], str]:
    """Path of each setting in the example → the line it stands on."""
    text = full_example()
    lines, found = text.splitlines(), {}

    def walk(node: yaml.MappingNode, path: tuple[str, ...]) -> None:
        for key, value in node.value:
            found[(*path, key.value)] = lines[key.start_mark.line]
            if isinstance(value, yaml.MappingNode):
                walk(value, (*path, key.value))

    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    walk(root, ())
    return found


def value_at(model: object, path: tuple[str, ...]) -> object:
    for name in path:
        model = getattr(model, name)
    return model


def test_the_example_file_documents_every_setting_and_nothing_else() -> None:
    documented = set(example_lines())
    known = {path for path, _ in sections(Config)}
    groups = {path[:length] for path in known for length in range(1, len(path))}

    assert documented - groups == known


def test_every_value_in_the_example_file_is_its_default_or_marked_as_an_example(tmp_path: Path) -> None:
    file = tmp_path / "full.yml"
    file.write_text(full_example())
    config, lines = load(file), example_lines()
    for path, default in sections(Config):
        marked = re.search(r"#.*\bexample\b", lines[path]) is not None
        assert marked or value_at(config, path) == default, path


def test_every_setting_of_the_example_file_has_a_comment_above_or_beside_it() -> None:
    block = ""
    for line in EXAMPLE.read_text().splitlines():
        block = f"{block}\n{line}" if line.strip() else ""
        if re.match(r" *[a-z_]+:", line):
            assert "#" in block, line


def test_the_example_files_commented_radio_is_one_that_loads(tmp_path: Path) -> None:
    config = loaded(tmp_path, uncommented("radios", EXAMPLE.read_text()))

    [radio] = config.radios.values()
    assert radio.model_fields_set == set(Radio.model_fields)
