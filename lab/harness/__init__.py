# SPDX-License-Identifier: MIT
"""The lab: crashes real kernels in QEMU and measures, from outside, what leftover DMA does to the dump."""
