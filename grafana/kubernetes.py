"""Print the alert rules as resources of the Prometheus operator: `python -m grafana.kubernetes | kubectl apply -f -`.

There is one source of rules, the files that `python -m grafana.build` writes; they are copied as they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "rules"
_HEAD: Final = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: callpulse-{name}
  labels:
    app.kubernetes.io/name: callpulse
spec:
"""


def resources(folder: Path = FOLDER) -> str:
    """Return a PrometheusRule for each file of rules in a folder, as one YAML stream.

    Raise FileNotFoundError if there is none.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no files of rules")
    return "---\n".join(_HEAD.format(name=path.stem) + _indented(path.read_text("utf-8")) for path in paths)


def _indented(text: str) -> str:
    return "".join(f"  {line}" if line.strip() else line for line in text.splitlines(keepends=True))


def main(argv: list[str] | None = None) -> int:
    """Print the resources. Return 2 for a folder without rules."""
    parser = argparse.ArgumentParser(prog="python -m grafana.kubernetes", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="rules of another language, or your own")
    given = parser.parse_args(argv)
    try:
        sys.stdout.write(resources(given.folder))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
