#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Completion for bash: sourced in a bash of its own, asked as readline asks."""
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from tap import ROOT, main, run  # noqa: E402

VERBS = ["units", "devices", "walk", "ranges", "translate", "reach", "findings", "diff", "report"]


def complete(line, folder=ROOT):
    """What is offered behind a line."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
    script = f"""
source {shlex.quote(str(ROOT / 'tool' / 'cofferdam.bash'))}
COMP_WORDS=({' '.join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
_cofferdam cofferdam
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, cwd=folder, check=True, timeout=60)
    assert done.stderr == b"", done.stderr
    return done.stdout.decode().split()


def test_commands(folder):
    assert complete("cofferdam ") == ["wrap", "unwrap", "info", "acpi", "log", "inspect", "--help", "--version"]
    assert complete("cofferdam in") == ["info", "inspect"]
    # Every command of the tool's own help is offered.
    for name in re.findall(r"^  (\w+) ", run("--help").stdout.decode(), re.M):
        assert name in complete("cofferdam ") or name == "cofferdam", name


def test_verbs(folder):
    assert complete("cofferdam inspect dump ") == VERBS
    assert complete("cofferdam inspect dump re") == ["reach", "report"]
    assert complete("cofferdam inspect --vtd-root 0x1000,legacy --json dump tr") == ["translate"]
    assert complete("cofferdam inspect --color=never dump f") == ["findings"]
    assert complete("cofferdam inspect dump walk 00:02.0 ") == []


def test_files(folder):
    for name in ("dump.1", "dump 2", "vmcore"):
        (folder / name).touch()
    assert complete("cofferdam log d", folder) == ["dump", "2", "dump.1"] or complete("cofferdam log d", folder) == ["dump.1", "dump", "2"]
    assert complete("cofferdam inspect vm", folder) == ["vmcore"]
    assert complete("cofferdam inspect vmcore diff v", folder) == ["vmcore"]
    assert complete("cofferdam wrap vmcore -o v", folder) == ["vmcore"]
    assert complete("cofferdam inspect vmcore ranges v", folder) == []


def test_options(folder):
    assert complete("cofferdam inspect dump ranges --debugfs=") == ["6.1", "6.12"]
    assert complete("cofferdam inspect dump ranges --deb") == ["--debugfs", "--debugfs=6.1", "--debugfs=6.12"]
    assert complete("cofferdam inspect dump walk --d") == ["--depth"]
    assert complete("cofferdam inspect --color=a") == ["auto", "always"]
    assert complete("cofferdam wrap -p fr") == ["freeze"]
    assert complete("cofferdam wrap x --po") == ["--policy", "--pool"]
    assert complete("cofferdam log --s") == ["--save-note"]
    # Every long option that inspect's own help names is offered.
    offered = {word.split("=")[0] for verb in VERBS for word in complete(f"cofferdam inspect dump {verb} --")}
    texts = [run("inspect", "--help")] + [run("inspect", verb, "--help") for verb in VERBS]
    for text in texts:
        for option in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text.stdout.decode(), re.M):
            assert option in offered, option


if __name__ == "__main__":
    main(sys.modules[__name__])
