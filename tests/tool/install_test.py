#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make install`, and the manual pages: sound, and about every verb and option that there is."""
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from tap import ROOT, TOOL, main, run  # noqa: E402

PAGES = [ROOT / "tool" / "cofferdam.1", ROOT / "tool" / "cofferdam-inspect.1"]


def test_manual_pages_are_sound(folder):
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *PAGES], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0 and done.stdout == b"", done.stdout.decode()


def plain(page):
    """A manual page as text without markup."""
    text = subprocess.run(["mandoc", "-Tascii", page], capture_output=True, check=True, timeout=60).stdout.decode()
    return re.sub(r".\x08", "", text)


def test_every_verb_and_option_is_in_the_manual(folder):
    text = plain(PAGES[1])
    overview = run("inspect", "--help").stdout.decode()
    verbs = re.findall(r"^  (\w+)  +\S", overview.split("\n\n")[1], re.M)
    assert "reach" in verbs and len(verbs) >= 6, verbs
    for verb in verbs:
        assert re.search(rf"^     {verb}\b", text, re.M), verb
        for option in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", run("inspect", verb, "--help").stdout.decode(), re.M):
            assert option in text, (verb, option)
    text = plain(PAGES[0])
    for command in re.findall(r"^  (\w+) ", run("--help").stdout.decode(), re.M):
        assert command == "cofferdam" or re.search(rf"^     {command}\b", text, re.M), command


def test_install(folder):
    done = subprocess.run(["make", "-s", "install", f"DESTDIR={folder}", "PREFIX=/usr"], cwd=ROOT, capture_output=True,
                          check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"usr/bin/cofferdam", "usr/share/man/man1/cofferdam.1", "usr/share/man/man1/cofferdam-inspect.1",
                     "usr/share/bash-completion/completions/cofferdam", "usr/share/cofferdam/inspect.schema.json"}, files
    version = subprocess.run([folder / "usr/bin/cofferdam", "--version"], capture_output=True, check=True, timeout=60)
    assert version.stdout == subprocess.run([TOOL, "--version"], capture_output=True, check=True, timeout=60).stdout


if __name__ == "__main__":
    main(sys.modules[__name__])
