"""An SX1301 concentrator as a register model behind a Unix socket; shares no code with the driver.

Two sockets. ``PATH`` carries what the board's pins carry; each message, either way, is a kind byte, a length
(4 bytes, big-endian) and a body::

    S  clock rate in Hz (4 bytes), MOSI bytes of one chip-select assertion  →  S  MISO bytes, as many
    G  line number (2 bytes), level (1 byte)                                →  G  empty
    E                                                                       ←  why the bus failed, as text

``PATH.ctl`` is the world outside the pins: one JSON object a line, one answer a line. ``op`` is one of

    rx          an uplink's end reaches the antenna: frequency_hz, payload (hex) and optionally modulation
                ("lora" or "fsk"), spreading_factor, bandwidth_hz, coding_rate, crc ("ok", "bad", "missing"),
                rssi_dbm, snr_db, inverted_iq, bit_rate, end_us (on the monotonic clock; default now).
                Answers {"heard": true} or {"heard": false, "reason": ...}
    fault       name, value: set one fault (see ``faults.Faults``); value null clears it
    counter     value: the chip's counter reads this now (to come close to a wrap)
    status      counter, state, violations of the chip's rules so far, emissions, what was not heard and why
    subscribe   from now on a line {"event": "tx", ...} at the end of each emission

``python -m simulators.concentrator --socket run/sx1301.sock --firmware run/firmware`` starts one, writes the
three test images that it takes for the real ones and prints the configuration that leads to it;
``python -m simulators.concentrator.tell --help`` has the faults and frames that it can be told of.
"""
