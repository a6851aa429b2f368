"""The protocol by its plain definitions, for both ends of the simulators; shares no code with the gateway."""
