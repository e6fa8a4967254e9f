# SPDX-License-Identifier: MIT
"""Debian packages: fetched through apt, unpacked below build/lab, never installed.

"PACKAGE" comes from what the host's apt knows; "PACKAGE/backports" from the backports of the host's release, and
"PACKAGE/next-backports" from those of the release after it, through an apt state of its own (lists, cache and sources
below build/lab/cache), so that the host's stays as it is. The mirror is the one that the host's own apt uses.
"""
import re
import shutil
import subprocess
from pathlib import Path

from .paths import CACHE, LabError

BACKPORTS = "backports"
NEXT_BACKPORTS = "next-backports"
RELEASES = ("bookworm", "trixie", "forky", "duke")


def command(argv: list[str], what: str, timeout: int = 600, cwd: Path | None = None) -> str:
    """Runs a host command to its end; returns its output; on failure raises one line with its last words."""
    try:
        done = subprocess.run(argv, cwd=cwd, timeout=timeout, text=True, errors="replace", check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        raise LabError(f"{what}: {argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{what}: {argv[0]} did not end within {timeout} s") from None
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        raise LabError(f"{what}: {argv[0]} ended with status {done.returncode}: {last}")
    return done.stdout


def _mirror() -> tuple[str, str]:
    """Returns (address of the mirror, code name) of the release that the host's apt installs from."""
    text = Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)", text, re.MULTILINE)
    if not found:
        raise LabError("/etc/os-release names no code name")
    known = command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                     "Created-By: Packages"], "asking apt for its mirror")
    for line in known.splitlines():
        uri, release, component = line.rsplit(" ", 2)
        if (release, component) == (found.group(1), "main"):
            return uri, release
    raise LabError(f"apt knows no mirror of {found.group(1)}")


def _after(release: str) -> str:
    """Returns the code name of the next Debian release."""
    if release not in RELEASES[:-1]:
        raise LabError(f"nobody knows which release comes after {release}")
    return RELEASES[RELEASES.index(release) + 1]


def _options(suite: str) -> list[str]:
    """Returns what makes apt use the state of a suite; made and updated the first time."""
    if not suite:
        return []
    state = CACHE / f"apt-{suite}"
    options = []
    for name, value in (("Dir::Etc::SourceList", state / "sources.list"), ("Dir::Etc::SourceParts", "/dev/null"),
                        ("Dir::Etc::Preferences", "/dev/null"), ("Dir::Etc::PreferencesParts", "/dev/null"),
                        ("Dir::State::Lists", state / "lists"), ("Dir::Cache", state / "cache")):
        options += ["-o", f"{name}={value}"]
    if not (state / ".complete").exists():
        uri, release = _mirror()
        if suite == NEXT_BACKPORTS:
            release = _after(release)
        (state / "lists/partial").mkdir(parents=True, exist_ok=True)
        (state / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
        (state / "sources.list").write_text(f"deb {uri} {release}-{BACKPORTS} main\n")
        command(["apt-get", *options, "-q", "update"], f"fetching the lists of {release}-{BACKPORTS}")
        (state / ".complete").touch()
    return options


def _split(package: str) -> tuple[str, str]:
    name, _, suite = package.partition("/")
    if suite not in ("", BACKPORTS, NEXT_BACKPORTS):
        raise LabError(f"{package}: nobody knows the suite {suite}")
    return name, suite


def unpacked(package: str) -> Path:
    """Returns the folder of the unpacked Debian package, fetching it through apt the first time."""
    name, suite = _split(package)
    target = CACHE / (f"deb-{suite}" if suite else "deb") / name
    if (target / ".complete").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    command(["apt-get", *_options(suite), "-q", "download", name], f"fetching {package}", cwd=target)
    debs = list(target.glob("*.deb"))
    if len(debs) != 1:
        raise LabError(f"fetching {package}: apt left {len(debs)} packages in {target}")
    command(["dpkg-deb", "-x", str(debs[0]), str(target / "root")], f"unpacking {package}")
    debs[0].unlink()
    (target / ".complete").write_text(debs[0].name + "\n")
    return target


def file_of(package: str, path: str) -> Path:
    """Returns one file of a package too large to unpack whole, fetching it through apt the first time."""
    name, suite = _split(package)
    target = CACHE / (f"deb-{suite}" if suite else "deb") / name
    out = target / Path(path).name
    if not out.exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        command(["apt-get", *_options(suite), "-q", "download", name], f"fetching {package}", timeout=1800, cwd=target)
        deb = next(target.glob("*.deb"))
        part = out.with_suffix(".part")
        line = 'dpkg-deb --fsys-tarfile "$1" | tar -x -O "./$2" >"$3"'
        command(["bash", "-o", "pipefail", "-c", line, "bash", str(deb), path, str(part)], f"unpacking {package}")
        deb.unlink()
        part.rename(out)
    return out


def newest_image(metapackage: str) -> str:
    """Returns the image package that Debian's metapackage points at today; asks apt only once."""
    name, suite = _split(metapackage)
    stamp = CACHE / f"{name}{'-' + suite if suite else ''}.name"
    if not stamp.exists():
        text = command(["apt-cache", *_options(suite), "depends", name], f"looking up {metapackage}")
        found = re.search(r"Depends: (linux-image-\S+)", text)
        if not found:
            raise LabError(f"apt knows no image package behind {metapackage}; run apt-get update")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(found.group(1))
    return stamp.read_text() + (f"/{suite}" if suite else "")


def qemu(suite: str) -> tuple[list[str], dict[str, str]]:
    """Returns (command line up to the first option of the machine, environment) of the wanted QEMU."""
    if not suite:
        return ["qemu-system-x86_64"], {}
    roots = [unpacked(f"{name}/{suite}") / "root"
             for name in ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")]
    argv = [str(roots[0] / "usr/bin/qemu-system-x86_64")]
    for folder in (roots[2] / "usr/share/qemu", roots[3] / "usr/share/seabios"):
        argv += ["-L", str(folder)]
    return argv, {"QEMU_MODULE_DIR": str(roots[1] / "usr/lib/x86_64-linux-gnu/qemu")}
