"""Settings for every test, and word of a failure as soon as it is known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Rigs are shared: those of the integration tests serve the fault tests and the end-to-end tests too.
sys.path.insert(0, str(Path(__file__).parent / "integration"))
sys.path.insert(0, str(Path(__file__).parent / "e2e"))

pytest_plugins = ["machines"]

# No example is judged by how long it took: on a busy machine that fails at random.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


class Told:
    """Names a failed test at once, and at an interruption those that were still running."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        self._running: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running.add(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.discard(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line(f"\nFAILED in {report.when}: {report.nodeid}", red=True)

    def pytest_keyboard_interrupt(self) -> None:
        for nodeid in sorted(self._running):
            self._terminal.write_line(f"\nSTILL RUNNING: {nodeid}", red=True)


@pytest.hookimpl(trylast=True)  # after the terminal has come
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(
        config, "workerinput"
    ):  # workers report to the process that prints
        config.pluginmanager.register(Told(terminal))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is ``long`` runs only where asked for: ``-m long``, as ``./scripts/test-debian.sh`` does."""
    if "long" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("long") is not None:
                item.add_marker(pytest.mark.skip(reason="long: ./scripts/test-debian.sh runs it"))
