#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The takeover of a QEMU that has a first stage (x-flts, from version 10.0 on): Debian's newer one, which the lab
fetches. Needs build/asan/tests/qtest/takeover_test."""
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

from harness.packages import BACKPORTS, qemu  # noqa: E402  (the path above comes first)

argv, environment = qemu(BACKPORTS)
os.environ.update(environment, QTEST_QEMU=argv[0], QTEST_QEMU_ARGS=" ".join(argv[1:]), QTEST_FIRST_STAGE="1")
program = ROOT / "build/asan/tests/qtest/takeover_test"
os.execv(program, [str(program)])
