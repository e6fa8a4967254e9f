# SPDX-License-Identifier: MIT
"""Kernel modules in loading order, from the "depends=" string each one carries.

A freshly unpacked kernel package has no modules.dep (its install script would make it), and depmod need not
be there, so the order is worked out here.
"""
import lzma
from pathlib import Path

from .paths import LabError


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


class ModuleTree:
    """The modules below lib/modules/VERSION folders of one kernel; some may not exist."""

    def __init__(self, folders: list[Path]):
        self._paths: dict[str, Path] = {}
        self._built_in: set[str] = set()
        for folder in folders:
            for path in folder.rglob("*.ko*"):
                self._paths[self._key(path.name)] = path
            if (folder / "modules.builtin").exists():
                lines = (folder / "modules.builtin").read_text().split()
                self._built_in.update(self._key(Path(line).name) for line in lines)
        self._data: dict[str, bytes] = {}

    @staticmethod
    def _key(name: str) -> str:
        return name.split(".ko")[0].replace("-", "_")

    def data(self, name: str) -> bytes:
        """Returns the module's ELF file, uncompressed."""
        key = self._key(name)
        if key not in self._data:
            if key not in self._paths:
                raise LabError(f"the kernel package has no module {name}")
            self._data[key] = _read(self._paths[key])
        return self._data[key]

    def _depends(self, name: str) -> list[str]:
        data = self.data(name)
        start = data.find(b"\0depends=")
        if start < 0:
            return []
        start += len(b"\0depends=")
        text = data[start : data.index(b"\0", start)].decode()
        return [d for d in text.split(",") if d]

    def order(self, wanted: list[str]) -> list[str]:
        """Returns the wanted modules and all they need, each after what it needs; built-in ones left out."""
        done: list[str] = []

        def visit(name: str, trail: tuple[str, ...]) -> None:
            key = self._key(name)
            if key in self._built_in or key in done:
                return
            if key in trail:
                raise LabError(f"module {name} depends on itself")
            for other in self._depends(key):
                visit(other, trail + (key,))
            done.append(key)

        for name in wanted:
            visit(name, ())
        return done
