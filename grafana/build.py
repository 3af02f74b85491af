"""Write the boards as the JSON that Grafana reads: `python -m grafana.build`, or `--check` that it is current."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.boards import conversion, leads, manager, team_now

DASHBOARDS: Final = Path(__file__).parent / "dashboards"
BOARDS: Final = {
    "team-now.json": team_now.board,
    "manager.json": manager.board,
    "leads.json": leads.board,
    "conversion.json": conversion.board,
}


def rendered() -> dict[str, str]:
    """Return every generated file's name and text."""
    return {
        name: json.dumps(board().build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, board in BOARDS.items()
    }


def stale(folder: Path = DASHBOARDS) -> list[str]:
    """Return the names of files that are missing, differ from what the code makes, or are made by no code."""
    want = rendered()
    there = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in want.keys() | there.keys() if want.get(name) != there.get(name))


def main(argv: list[str] | None = None) -> int:
    """Write the files; with --check write nothing and return 1 if one is not current."""
    parser = argparse.ArgumentParser(prog="python -m grafana.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not current")
    if parser.parse_args(argv).check:
        if differing := stale():
            sys.stderr.write(f"not current: {', '.join(differing)}; run `python -m grafana.build` and commit\n")
            return 1
        return 0
    want = rendered()
    DASHBOARDS.mkdir(exist_ok=True)
    for path in DASHBOARDS.glob("*.json"):
        if path.name not in want:
            path.unlink()
    for name, text in want.items():
        (DASHBOARDS / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
