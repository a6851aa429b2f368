"""SX1301 concentrators (RAK2245) driven directly over SPI, without a packet forwarder."""
