#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The capture kernel's init: write /proc/vmcore to the raw dump disk, filtered and flattened, or as it is (lab.whole), say how
# it went, power off.
/bin/busybox mkdir -p /proc /sys /dev /tmp /sbin /usr/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null

# Through the kernel's log (level 1, printk.devkmsg=on), so that kernel messages cannot cut a line in two.
say() { echo "<1>LAB: $*" >/dev/kmsg; }

# shellcheck source=/dev/null
. /lab.conf # CAPTURE_MODULES, NVME_MODULES
disk=/dev/vda
if grep -q lab.nvme /proc/cmdline; then
  disk=/dev/nvme0n1 CAPTURE_MODULES=$NVME_MODULES
fi
say "capture up"
for m in $CAPTURE_MODULES; do
  insmod "/lib/modules/$m" 2>/tmp/err || say "module $m: $(cat /tmp/err)"
done
n=0
while [ ! -b "$disk" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
if grep -q lab.ordinary /proc/cmdline; then # started by an ordinary kexec: there is no dump; can the disk be read?
  dd if="$disk" of=/dev/null bs=64k count=64 iflag=direct 2>/tmp/err
  say "next kernel up $?"
  sleep 10
  poweroff -f
fi
[ -e /proc/vmcore ] || say "no /proc/vmcore"
say "dump begins"
if grep -q lab.whole /proc/cmdline; then
  dd if=/proc/vmcore of="$disk" bs=1M conv=fsync 2>/tmp/err
  say "dump ends $?"
  sleep 10
  poweroff -f
fi
makedumpfile -F -l -d 31 /proc/vmcore 2>/tmp/dump.log >"$disk"
rc=$?
sync
[ $rc = 0 ] || tail -n 5 /tmp/dump.log | while read -r line; do say "makedumpfile $line"; done
# The runner stops the machine when it reads this line: nothing after it is measured. It gets time to do so,
# because powering off turns translation off.
say "dump ends $rc"
sleep 10
poweroff -f
