"""The main job on one machine: wallets, radios, the daemon, a coordinator, and a backhaul that is cut.

timetable   what happens when
children    processes, their logs, their end
house       a folder with a coordinator and a daemon in it, started as a technician would
board       a concentrator model in a process of its own, and the air over it
street      phones that pass by its Bluetooth dongle
telephones  wallets that text, the network and the gateway's modem in it, the coordinator's number
carriers    wallets with a way to the gateway: by LoRa, by telephone over HTTP
market      payments among the wallets
watch       what the daemon and the coordinator say of themselves
screen      the live view, on a terminal or as lines
report      the audit at the end: what was promised against what the coordinator holds
play        all of it, in order
mesh        the other play: three gateways in a line, only one with a backhaul
"""
