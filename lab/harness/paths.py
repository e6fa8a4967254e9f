# SPDX-License-Identifier: MIT
"""Where things are. Everything the lab builds or keeps lies under build/lab."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "lab"
GUEST = LAB / "guest"
SCENARIOS = LAB / "scenarios.toml"
BUILD = ROOT / "build" / "lab"
CACHE = BUILD / "cache"
RUNS = BUILD / "runs"
TOOL = ROOT / "build" / "host" / "cofferdam"
PAGES = ROOT / "docs"


class LabError(Exception):
    """Something the lab needs failed; the message is one line for the person at the terminal."""
