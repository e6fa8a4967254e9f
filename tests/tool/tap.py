# SPDX-License-Identifier: MIT
"""TAP for the tests of the built tool, and running it."""
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = os.environ.get("COFFERDAM", str(ROOT / "build" / "host" / "cofferdam"))


class Skip(Exception):
    """Raised by a test that cannot run here; says why."""


def run(*arguments, **options):
    """Runs the tool; never longer than a minute. An empty environment but for the locale."""
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, **options)


def succeeds(*arguments):
    """Runs the tool, which must end with 0 and say nothing on standard error; returns its output."""
    done = run(*arguments)
    assert done.returncode == 0, f"{arguments}: status {done.returncode}: {done.stderr.decode()}"
    assert done.stderr == b"", done.stderr
    return done.stdout.decode()


def loads(*arguments):
    """The JSON that the tool prints."""
    return json.loads(succeeds(*arguments))


def fails(status, part, *arguments):
    """Runs the tool, which must end with status, print nothing, and say one line that holds part."""
    done = run(*arguments)
    text = done.stderr.decode()
    assert done.returncode == status, f"{arguments}: status {done.returncode}, not {status}: {text}"
    assert done.stdout == b"", done.stdout
    assert text.startswith("cofferdam: ") and text.count("\n") == 1 and text.endswith("\n"), text
    assert part in text, f"{text!r} does not hold {part!r}"


def main(module):
    """Runs every function of the module whose name begins with test_, each in a folder of its own."""
    tests = [(name[5:], function) for name, function in vars(module).items() if name.startswith("test_")]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        name = name.replace("_", " ")
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(Path(folder))
                print(f"ok {number} - {name}", flush=True)
            except Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)
