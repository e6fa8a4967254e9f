# SPDX-License-Identifier: MIT
"""The kinds of IOMMU that the lab knows."""
from .kind_amd import Amd
from .kind_vtd import Vtd
from .kind import Kind

KINDS: tuple[Kind, ...] = (Vtd(), Amd())


def of(device: str) -> Kind:
    """Returns the kind of a -device argument of QEMU; a machine without an IOMMU is looked at as the first kind."""
    return next((kind for kind in KINDS if device.split(",")[0] == kind.DEVICE), KINDS[0])
