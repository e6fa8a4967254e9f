# SPDX-License-Identifier: MIT
"""Reads scenarios.toml: defaults, scenarios, the matrix multiplied out. Unknown keys and names are refused."""
import itertools
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

from .paths import SCENARIOS, LabError
from .cases import CASES
from .plant import GROUPS
from .qemu import DEVICES

POLICIES = ("freeze", "scratch", "block", "preserve")
CHOICES = {
    "firmware": ("seabios", "ovmf"),
    "loader": ("kexec_load", "kexec_file_load"),
    "policy": POLICIES,
    "pause": ("monitor", "signal"),
    "la57": (True, False),
    "cofferdam": (True, False),
    "way": ("crash", "ordinary"),
    "dump": ("filtered", "whole"),
    "disk": ("direct", "iommu", "nvme"),
    "window": (True, False),
    "raised": (True, False),
    "broken": ("block", "scratch"),
    "plant": ("", *CASES),
    "qemu": ("", "backports", "next-backports"),
}


@dataclass
class Scenario:
    """One crash: the machine, the two command lines, the policy, and what must hold."""

    name: str
    about: str
    title: str
    sets: list[str]
    kernel: str
    capture_kernel: str
    qemu: str
    firmware: str
    la57: bool
    cpu_options: str
    crash: str
    memory: str
    crashkernel: str
    loader: str
    kexec_options: str
    iommu: str
    devices: list[str]
    primary: str
    capture: str
    cofferdam: bool
    policy: str
    broken: str
    window: bool
    raised: bool
    way: str
    disk: str
    dump: str
    plant: str
    wrap: str
    dma_seconds: float
    pause: str
    expect: str
    expected: dict


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "la57" if value else "la48"
    return str(value)


def _multiplied(entry: dict) -> list[dict]:
    """Returns one entry for each combination of the axes' values; a word stands for a group of plants."""
    axes = {key: GROUPS[values] if isinstance(values, str) else values for key, values in entry["axes"].items()}
    common = {key: value for key, value in entry.items() if key not in ("axes", "name", "words") and "_by_" not in key}
    out = []
    for values in itertools.product(*axes.values()):
        one = {**common, **dict(zip(axes, values))}
        one["name"] = entry["name"].format(**{k: _word(v) for k, v in one.items()})
        for key, by_value in entry.items():
            what, _, axis = key.partition("_by_")
            if axis and one[axis] in by_value:
                one[what] = by_value[one[axis]]
        for axis in entry.get("words", []):  # an axis that only chooses others' values
            del one[axis]
        out.append(one)
    return out


def _finished(entry: dict, data: dict) -> Scenario:
    merged = {"about": "", "title": "", **data["defaults"], **entry}
    name = merged.get("name", "a scenario without a name")
    if merged["crash"] not in data["crash"]:
        raise LabError(f"scenarios.toml: {name}: no [crash.{merged['crash']}]")
    if merged["expect"] not in data["expect"]:
        raise LabError(f"scenarios.toml: {name}: no [expect.{merged['expect']}]")
    merged = {**data["crash"][merged["crash"]], **merged}
    if merged["plant"] in CASES and not merged["about"]:
        merged["about"] = CASES[merged["plant"]].__doc__
    merged["expected"] = {**data["expect"][merged["expect"]], **merged.pop("also", {})}
    known = {f.name for f in fields(Scenario)}
    for key in merged:
        if key not in known:
            raise LabError(f"scenarios.toml: {name}: nobody knows the key {key}")
    for key, allowed in CHOICES.items():
        if merged[key] not in allowed:
            raise LabError(f"scenarios.toml: {name}: {key} = {merged[key]} is none of {allowed}")
    for device in merged["devices"]:
        if device not in DEVICES:
            raise LabError(f"scenarios.toml: {name}: nobody knows the device {device}")
    return Scenario(**merged)


def load(path: Path = SCENARIOS) -> dict[str, Scenario]:
    """Returns every scenario by name, in the order of the file."""
    with path.open("rb") as file:
        try:
            data = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise LabError(f"{path.name}: {error}") from None
    entries = list(data.get("scenario", []))
    for matrix in data.get("matrix", []):
        entries += _multiplied(matrix)
    out: dict[str, Scenario] = {}
    for entry in entries:
        one = _finished(entry, data)
        if one.name in out:
            raise LabError(f"{path.name}: two scenarios are called {one.name}")
        out[one.name] = one
    return out


def unmodified(scenario: Scenario) -> Scenario:
    """Returns the same crash without Cofferdam.

    The dump has to be there, unless something was broken on purpose, or the capture kernel knows of no IOMMU."""
    expected = {} if scenario.plant or scenario.window else {"dump_complete": True, "dump_has_panic": True}
    return replace(scenario, name=scenario.name + "-without", cofferdam=False, expect="measured", expected=expected)


def machine_key(scenario: Scenario) -> tuple:
    """Returns what two scenarios have in common when they are the same crash without Cofferdam."""
    ours = ("name", "about", "title", "sets", "cofferdam", "policy", "broken", "window", "raised", "wrap", "expect", "expected")
    return tuple(str(getattr(scenario, one.name)) for one in fields(Scenario) if one.name not in ours)


def without(chosen: list[Scenario]) -> list[Scenario]:
    """Returns the same crashes without Cofferdam, each once."""
    return [unmodified(one) for one in {machine_key(s): s for s in reversed(chosen)}.values()][::-1]
