#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The init of a kernel that shows its IOMMU tables: brings the network cards up, prints what debugfs says, and waits.
/bin/busybox mkdir -p /proc /sys /dev /sbin /usr/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null
mount -t debugfs none /sys/kernel/debug
dmesg -n 1
for i in /sys/class/net/*; do
  case $i in */lo) ;; *) ip link set "${i##*/}" up ;; esac
done
sleep 3 # until the cards have filled their rings
tables=/sys/kernel/debug/iommu/intel/domain_translation_struct
[ -e "$tables" ] || echo "LAB: failed: no $tables"
echo "LAB: debugfs begins"
cat "$tables"
echo "LAB: debugfs ends"
sleep 1000
