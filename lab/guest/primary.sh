#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The first kernel's init: bring devices into the middle of DMA, load the capture kernel, crash (or start it, WAY=ordinary).
# It talks to the runner in lines that begin "LAB: "; the runner waits for them (lab/harness/crash.py).
/bin/busybox mkdir -p /proc /sys /dev /tmp /sbin /usr/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null

# Through the kernel's log (level 1, printk.devkmsg=on), so that kernel messages cannot cut a line in two.
say() { echo "<1>LAB: $*" >/dev/kmsg; }
stop() { say "failed: $*"; poweroff -f; sleep 60; }

# shellcheck source=/dev/null
. /lab.conf # PRIMARY_MODULES, WAY, KEXEC_FLAGS, CAPTURE_CMDLINE, DEVICES, DMA_SECONDS
say "primary up"
grep -E 'System RAM|Crash kernel' /proc/iomem | while read -r line; do say "iomem $line"; done
for m in $PRIMARY_MODULES; do
  insmod "/lib/modules/$m" 2>/tmp/err || say "module $m: $(cat /tmp/err)"
done

has() { case " $DEVICES " in *" $1 "*) return 0 ;; esac; return 1; }
wait_for() { # path: until it is there, at most 10 s
  n=0
  while [ ! -e "$1" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
  [ -e "$1" ] || stop "$1 never appeared"
}

# The kernel is loaded before the DMA starts: loading takes long under emulation and the capture ring is finite.
case $WAY in ordinary) load=-l loaded=/sys/kernel/kexec_loaded ;; *) load=-p loaded=/sys/kernel/kexec_crash_loaded ;; esac
# shellcheck disable=SC2086
kexec $load $KEXEC_FLAGS /boot/kernel --initrd=/boot/capture.img --command-line="$CAPTURE_CMDLINE" >/tmp/kexec.log 2>&1
rc=$?
while read -r line; do say "kexec $line"; done </tmp/kexec.log
[ $rc = 0 ] && [ "$(cat $loaded)" != 1 ] && rc=unloaded
[ $rc = 0 ] || stop "kexec $load $KEXEC_FLAGS refused the kernel (exit status $rc): $(tail -n 1 /tmp/kexec.log)"
say "loaded"

for i in /sys/class/net/*; do
  case $i in */lo) ;; *) ip link set "${i##*/}" promisc on up || stop "cannot bring up ${i##*/}" ;; esac
done
if has nvme; then
  wait_for /dev/nvme0n1
  for n in 0 1 2 3 4 5 6 7; do
    dd if=/dev/nvme0n1 of=/dev/null bs=64k skip=$((n * 16)) iflag=direct 2>/dev/null &
  done
fi
if has uhci || has ehci; then
  wait_for /dev/input/event0
  for e in /dev/input/event*; do cat "$e" >/dev/null & done
fi
if has hda; then
  wait_for /dev/snd/pcmC0D0c
  stream /dev/snd/pcmC0D0c /dev/snd/pcmC0D0p >/tmp/stream.log 2>&1 &
  n=0
  while ! grep -q running /tmp/stream.log && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
  grep -q running /tmp/stream.log || stop "sound stream: $(cat /tmp/stream.log)"
fi
say "dma running"
sleep "$DMA_SECONDS"
say "crash now"
[ "$WAY" = ordinary ] && kexec -e
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
stop "the kernel survived sysrq c"
