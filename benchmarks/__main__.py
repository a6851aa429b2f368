"""All benchmarks, or those that are named: figures beside their limits, measured in the same run.

    python -m benchmarks [--quick] [--json FILE] [NAME...]

Exits with 1 when a figure does not hold its limit or a benchmark fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.suite import document, names, run


def main(arguments: Sequence[str] | None = None) -> int:
    known = names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="Small runs, in a minute or two altogether.")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    outcomes = []
    for name in options.names or known:
        sys.stdout.write(f"\n{name}\n")
        sys.stdout.flush()
        outcomes.append(run(name, quick=options.quick))
        for figure in outcomes[-1].figures:
            sys.stdout.write(f"  {figure.line()}\n")
        sys.stdout.write(f"  FAILED: {outcomes[-1].error}\n" if outcomes[-1].error else "")
    if options.json is not None:
        options.json.write_text(json.dumps(document(outcomes, quick=options.quick), indent=2) + "\n")
    return 0 if all(outcome.holds for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
