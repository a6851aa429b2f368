"""The configuration, typed and frozen: every section, every setting, its bounds and its default.

``config.example.yml`` documents each of these for people. Times are in the unit their name ends in, except
``network.reconnect_interval``, which the deployment guide fixed in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from gateway.config.fields import (
    AgeRecipient,
    Allowed,
    BackupTarget,
    BlockedDevice,
    DriverName,
    FilePath,
    GatewayId,
    Host,
    HttpAddress,
    PhoneNumber,
    PinnedKey,
    RadioName,
    Section,
    WebSocketAddress,
)
from gateway.core.lora.regions import REGIONS

DEFAULT_RUNTIME_DIR = Path("/run/offgrid")
CONTROL_SOCKET = "control.sock"

Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port, for tests
Options = Annotated[
    dict[str, Any],
    Field(default_factory=dict, validate_default=True),
    AfterValidator(MappingProxyType),
    Allowed("a mapping of the driver's own settings"),
]


class Location(Section):
    """Where the gateway stands: degrees WGS84, and a name for people."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    name: Annotated[str, Field(min_length=1, max_length=80)]


class Gateway(Section):
    """Who this gateway is, as it is registered with the coordinator."""

    id: GatewayId
    location: Location
    type: Literal["lora", "mesh", "sms"]


class Tls(Section):
    """``ca_path`` None: the system's authorities. ``client_certificate``: show ours (mutual TLS)."""

    ca_path: FilePath | None = None
    client_certificate: bool = False


InterfacePatterns = Annotated[
    frozenset[Annotated[str, Field(min_length=1, max_length=32)]],
    Field(strict=False, min_length=1, max_length=16),  # YAML knows no sets
    Allowed("a list of 1 to 16 names of interfaces, with wildcards"),
]


class TrafficBudget(Section):
    """What the interfaces whose names match may carry in a month that begins on ``first_day``."""

    month_mb: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    interfaces: InterfacePatterns = frozenset({"wwan*", "ppp*", "usb*"})
    first_day: Annotated[int, Field(ge=1, le=28)] = 1


class Network(Section):
    """The way to the coordinator. ``allow_insecure`` stands first: the addresses are judged by it."""

    allow_insecure: bool = False
    api_url: HttpAddress
    ws_url: WebSocketAddress
    reconnect_interval: Annotated[int, Field(ge=100, le=600_000)] = 5000  # ms, base of a jittered backoff
    coordinator_key: PinnedKey | None = None  # None: the one pinned by ``register``
    tls: Tls = Tls()
    budget: TrafficBudget = TrafficBudget()


class Lora(Section):
    """Receive on US915 sub-band 2 (915) or EU868 (868); transmit only when ``region`` is set.

    ``spreading_factor`` and ``bandwidth`` (kHz) are what is sent with where no uplink decides it: the BEACON,
    each ``beacon_seconds`` (0: none). ``tx_power`` (dBm EIRP) is everything's, under the region's limit.
    ``driver`` ``none``: no LoRa radio is opened.
    """

    frequency: Literal[915, 868]
    spreading_factor: Annotated[int, Field(ge=7, le=12)] = 7
    bandwidth: Literal[125, 250, 500] = 125
    tx_power: Annotated[float, Field(ge=-10, le=30)] = 14
    region: Literal["EU868", "US915"] | None = None
    antenna_gain_dbi: Annotated[float, Field(ge=-20, le=20)] = 0.0
    beacon_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    driver: DriverName = "lora_gwmp"
    options: Options

    @field_validator("region")
    @classmethod
    def _region_lies_in_the_band(cls, region: str | None, info: ValidationInfo) -> str | None:
        frequency = info.data.get("frequency")
        if region is not None and frequency is not None and not region.endswith(str(frequency)):
            mine = " or ".join(name for name in sorted(REGIONS) if name.endswith(str(frequency)))
            raise ValueError(f"allowed with frequency {frequency}: {mine}; else change lora.frequency")
        return region

    @field_validator("beacon_seconds")
    @classmethod
    def _a_beacon_may_be_sent(cls, seconds: int, info: ValidationInfo) -> int:
        if 0 < seconds < 60:
            raise ValueError("allowed: 0 for none, or 60 to 86400")
        region, factor = info.data.get("region"), info.data.get("spreading_factor")
        bandwidth = info.data.get("bandwidth")
        if not seconds or region is None or factor is None or bandwidth is None:
            return seconds
        if REGIONS[region].broadcast(factor, bandwidth * 1000) is None:
            raise ValueError(
                f"{region} has no room for a beacon at spreading_factor {factor} and bandwidth {bandwidth}; "
                "allowed: a faster rate (7 and 125 in every region)"
            )
        return seconds


class Storage(Section):
    """``max_snapshots`` and ``retention_days`` bound what the coordinator has acked; what it has not acked
    is never dropped, and is bounded by ``min_free_mb`` of free disk (new snapshots are then refused)."""

    max_snapshots: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    path: FilePath = Path("/var/lib/offgrid/gateway.db")
    min_free_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 200

    @property
    def firmware_folder(self) -> Path:
        """Where ``firmware import`` puts what radios need of their makers."""
        return self.path.parent / "firmware"

    @property
    def airtime_path(self) -> Path:
        """Where the airtime of the last hour is kept over a restart."""
        return self.path.parent / "airtime.json"

    @property
    def audit_path(self) -> Path:
        """Where every act on the running gateway is written down."""
        return self.path.parent / "audit.jsonl"

    @property
    def day_path(self) -> Path:
        """Where the last day's figures are kept over a restart, for the page."""
        return self.path.parent / "day.json"

    @property
    def traffic_path(self) -> Path:
        """Where bytes by interface and day are kept."""
        return self.path.parent / "traffic.json"

    @property
    def certificate_path(self) -> Path:
        """Where a certificate is kept that has replaced the configured one."""
        return self.path.parent / "rotated.crt"

    @property
    def order_path(self) -> Path:
        """Where the number of the coordinator's last order is kept."""
        return self.path.parent / "last_order"

    @property
    def support_path(self) -> Path:
        """The support bundle that the coordinator ordered last."""
        return self.path.parent / "support.tar.gz"

    @property
    def tokens_path(self) -> Path:
        """Where the tokens of those who may act over HTTP are kept, as hashes."""
        return self.path.parent / "tokens.json"

    @property
    def last_way_path(self) -> Path:
        """Where it is kept what the coordinator was told by text message, and when."""
        return self.path.parent / "last_way.json"

    @property
    def carried_path(self) -> Path:
        """The folder of bundles that are carried for other gateways."""
        return self.path.parent / "carried"

    @property
    def outbox_path(self) -> Path:
        """The folder in which the running gateway makes bundles of its own."""
        return self.path.parent / "outbox"

    @property
    def messages_path(self) -> Path:
        """Where text messages wait that are not yet joined, answered or sent; a folder."""
        return self.path.parent / "gsm"

    @property
    def backup_path(self) -> Path:
        """Where it is kept what backups have sent this month, and what the last restore test found."""
        return self.path.parent / "backup.json"

    @property
    def pin_path(self) -> Path:
        """Where ``register`` keeps the coordinator's key."""
        return self.path.parent / "coordinator.vkey"


class Gps(Section):
    """A receiver on a serial line. A concentrator's PPS pin must be wired to it for exact times of frames."""

    address: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "/dev/ttyAMA0"
    baud: Literal[4800, 9600, 19200, 38400, 57600, 115200] = 9600
    driver: DriverName = "gps"


class Ble(Section):
    """Phones by Bluetooth. ``controller``: where it is, see :mod:`drivers.transport.hci`; ``options``: the
    driver's own. The name it advertises, ``OFFGRID_<id>``, follows from ``gateway.id``."""

    controller: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    driver: DriverName = "ble"
    options: Options


class LastWayHome(Section):
    """When the coordinator is told by text message how far the log stands.

    After ``after_seconds`` out of reach, then each ``interval_seconds``, doubled each time up to a day; at
    most ``per_day`` messages.
    """

    after_seconds: Annotated[int, Field(ge=1, le=604_800)] = 1800
    interval_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    per_day: Annotated[int, Field(ge=1, le=100)] = 6


class Gsm(Section):
    """Text messages by a modem. ``options``: the driver's own, beyond those that stand here.

    ``coordinator_number`` None: no last way home. ``answers_per_hour`` is for each number; ``per_minute`` and
    ``per_day`` bound all that is sent, in messages that are paid for.
    """

    port: Annotated[str, StringConstraints(min_length=1, max_length=4095)] = "/dev/serial/by-id/*"  # PATH_MAX
    pin: Annotated[str, Field(min_length=4, max_length=8), Allowed("4 to 8 digits, in quotes")] | None = None
    per_minute: Annotated[int, Field(ge=1, le=60)] = 8
    per_day: Annotated[int, Field(ge=0, le=100_000)] = 300
    answers_per_hour: Annotated[int, Field(ge=1, le=1000)] = 20
    may_reset_bearer: bool = False
    coordinator_number: PhoneNumber | None = None
    last_way_home: LastWayHome = LastWayHome()
    driver: DriverName = "gsm_at"
    options: Options


class Security(Section):
    """The gateway's Ed25519 key and its certificate, PEM."""

    private_key_path: FilePath = Path("/etc/offgrid/gateway.key")
    certificate_path: FilePath = Path("/etc/offgrid/gateway.crt")


class Http(Section):
    """Health, status and ``POST /v1/snapshots`` on the local network."""

    enabled: bool = True
    host: Host = "0.0.0.0"  # noqa: S104 - phones on the gateway's own Wi-Fi upload here
    port: Port = 8080


class Metrics(Section):
    """Prometheus, on its own port."""

    host: Host = "0.0.0.0"  # noqa: S104 - a Prometheus elsewhere scrapes it
    port: Port = 9090


class Logging(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


# Of every rate the burst is one minute's worth.
Messages = Annotated[int, Field(ge=1, le=1_000_000)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 34)]
Reassemblies = Annotated[int, Field(ge=1, le=65_536)]


class RadioLimits(Section):
    """What all of one radio may bring before anything of it is verified."""

    messages_per_minute: Messages = 6000
    bytes_per_minute: Bytes = 64 << 20
    pending_reassemblies: Reassemblies = 256


class PeerLimits(Section):
    """What one peer of a radio (an address, a number, a packet forwarder) may bring before verification."""

    messages_per_minute: Messages = 1200
    bytes_per_minute: Bytes = 16 << 20
    pending_reassemblies: Reassemblies = 192  # most gateways have one concentrator, and it is one peer


class DeviceLimits(Section):
    """What one device may bring; charged only for what its key has verified."""

    messages_per_minute: Messages = 60
    bytes_per_minute: Bytes = 8 << 20


MAX_BLOCKED = 1024

BlockedDevices = Annotated[
    frozenset[BlockedDevice],
    Field(strict=False, max_length=MAX_BLOCKED),  # YAML knows no sets
    Allowed(f"a list of at most {MAX_BLOCKED} device ids or public keys"),
]


class Limits(Section):
    """Device ids can be forged, so what comes unverified is limited by radio and by peer only."""

    radio: RadioLimits = RadioLimits()
    peer: PeerLimits = PeerLimits()
    device: DeviceLimits = DeviceLimits()
    blocked_devices: BlockedDevices = frozenset()
    max_upload_bytes: Annotated[int, Field(ge=4096, le=64 << 20)] = 8 << 20
    unverified_disk_percent: Annotated[int, Field(ge=0, le=100)] = 25
    max_texts_per_nonce: Annotated[int, Field(ge=2, le=64)] = 8
    verify_threads: Annotated[int, Field(ge=1, le=8)] = 1


class Sync(Section):
    """How the log goes to the coordinator; a batch is at most 256 entries and 1 MiB by the protocol."""

    batch_entries: Annotated[int, Field(ge=1, le=256)] = 256
    batch_bytes: Annotated[int, Field(ge=4096, le=1 << 20)] = 1 << 20
    heartbeat_seconds: Annotated[int, Field(ge=5, le=3600)] = 120


class Backup(Section):
    """Copies of the log off the device, sealed for ``key_path`` (age; None: ``backup.key`` beside the private
    key) and for ``operator_key``. What a longer object covers is deleted after ``keep_days``.
    ``monthly_mb`` bounds what is uploaded; 0: no bound. ``allow_insecure``: an endpoint without TLS.
    ``offline_after_seconds``: so long a restored log waits for the coordinator before it begins a new epoch.
    """

    target: BackupTarget
    operator_key: AgeRecipient
    key_path: FilePath | None = None
    allow_insecure: bool = False
    endpoint: HttpAddress | None = None
    region: Annotated[str, StringConstraints(pattern=r"\A[a-z0-9-]{1,40}\z")] | None = None
    credentials_path: FilePath | None = None
    interval_seconds: Annotated[int, Field(ge=10, le=300)] = 240
    keep_days: Annotated[int, Field(ge=0, le=3650)] = 7
    monthly_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    offline_after_seconds: Annotated[int, Field(ge=1, le=86_400)] = 120


class Carry(Section):
    """Bundles of other gateways, on their way to the coordinator; one gateway may take half of the room."""

    max_megabytes: Annotated[int, Field(ge=1, le=65_536)] = 256


PeerAddress = Annotated[
    str,
    StringConstraints(pattern=r"\A[A-Za-z0-9._-]{1,253}:[0-9]{1,5}\z"),
    Allowed("host:port, such as 10.0.0.2:7331"),
]
Peers = Annotated[
    tuple[PeerAddress, ...],
    Field(strict=False, max_length=32),  # YAML knows no tuples
    Allowed("a list of at most 32 of host:port"),
]


class Mesh(Section):
    """Gateways that carry each other's bundles: over TCP, and (``bluetooth``) over links of the ble radio.

    Own bundles are made once the coordinator was out of reach for ``after_seconds``, each of what came in
    ``gather_seconds``; one neighbour brings at most ``megabytes_per_minute``, and is served as much.
    """

    listen: PeerAddress | None = None
    peers: Peers = ()
    bluetooth: bool = True
    after_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    gather_seconds: Annotated[int, Field(ge=1, le=86_400)] = 30
    megabytes_per_minute: Annotated[int, Field(ge=1, le=1024)] = 16
    hops: Annotated[int, Field(ge=1, le=15)] = 8


class Remote(Section):
    """What the coordinator may order. Settings that it applies have ``trial_seconds`` to bring back link and
    health, or are rolled back."""

    enabled: bool = True
    trial_seconds: Annotated[int, Field(ge=1, le=3600)] = 180


class Radio(Section):
    """One more radio, built in or of a third party."""

    driver: DriverName
    options: Options


Radios = Annotated[
    dict[RadioName, Radio],
    Field(default_factory=dict, validate_default=True),
    AfterValidator(MappingProxyType),
]


class Config(Section):
    """All of it. Sections without a default must be there."""

    gateway: Gateway
    network: Network
    lora: Annotated[Lora | None, Field(validate_default=True)] = None
    storage: Storage = Storage()
    security: Security = Security()
    http: Http = Http()
    metrics: Metrics = Metrics()
    logging: Logging = Logging()
    limits: Limits = Limits()
    sync: Sync = Sync()
    carry: Carry = Carry()
    remote: Remote = Remote()
    mesh: Mesh | None = None
    gps: Gps | None = None
    ble: Ble | None = None
    gsm: Gsm | None = None
    backup: Backup | None = None
    radios: Radios
    runtime_dir: FilePath = DEFAULT_RUNTIME_DIR

    @property
    def control_socket(self) -> Path:
        """Where commands reach the running daemon."""
        return self.runtime_dir / CONTROL_SOCKET

    @property
    def backup_key_path(self) -> Path:
        """Where the key is that opens this gateway's backups."""
        named = None if self.backup is None else self.backup.key_path
        return named or self.security.private_key_path.with_name("backup.key")

    @field_validator("lora")
    @classmethod
    def _a_lora_gateway_has_lora(cls, lora: Lora | None, info: ValidationInfo) -> Lora | None:
        gateway = info.data.get("gateway")
        if lora is None and gateway is not None and gateway.type == "lora":
            raise ValueError(
                "gateway.type is lora; this section is required (lora.driver: none for no radio)"
            )
        return lora

    @field_validator("metrics")
    @classmethod
    def _two_servers_need_two_ports(cls, metrics: Metrics, info: ValidationInfo) -> Metrics:
        http = info.data.get("http")
        if http is not None and http.enabled and metrics.port == http.port != 0:
            raise ValueError(f"port {metrics.port} is http.port already; allowed: another one")
        return metrics

    @field_validator("radios")
    @classmethod
    def _no_two_radios_share_a_name(cls, radios: Mapping[str, Radio]) -> Mapping[str, Radio]:
        taken = sorted({"lora", "http", "gps", "ble", "gsm"} & radios.keys())
        if taken:
            raise ValueError(f"the names of the built-in radios are taken: {', '.join(taken)}")
        return radios
