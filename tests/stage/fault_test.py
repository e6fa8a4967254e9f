#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exceptions and NMIs in the stage, as it is shipped: whatever comes, the kernel behind it starts, and the note
says what happened. Before commit: handed over as with cofferdam.off. After: translation on, under the old tables or
ours as the note says.

  tests/stage/fault_test.py [--full]

With BUILD=build/clang COFFERDAM=build/clang/host/cofferdam in the environment it is clang's stage that is tested.
"""
import struct
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from bench import Kexec, open_bench  # noqa: E402
from layout import BOOT_PARAMS, CMDLINE  # noqa: E402
from remote import words  # noqa: E402
from units import AMD, VTD  # noqa: E402

STOP_NONE, STOP_OFF, STOP_EXCEPTION, STOP_NMI, STOP_COMMIT_EXCEPTION = 0, 1, 15, 16, 67
START, DISCOVER, AUDIT, PLAN, COMMIT, VERIFY = range(6)
COMMITTED, EXCEPTION, NMI_FLAG = 1, 2, 16
UNIT_TAKEN, UNIT_FAILED_BEFORE, UNIT_FAILED_AFTER = 0, 5, 6

# Before commit: where, and the phase that the note tells; None: no note can be delivered yet.
BEFORE = (("stage_read_image", None), ("stage_read_memory_map", None), ("stage_read_cmdline", None),
          ("stage_read_elfcore", None), ("stage_set_aside", None), ("stage_fill_regions", START),
          ("stage_check_cpu", START), ("stage_own_tables", START), ("clock_tsc_khz", START),
          ("takeover_discover", DISCOVER), ("takeover_audit", AUDIT), ("takeover_plan", PLAN),
          ("dam_takeover_commit", PLAN))
# After it began: where (behind another place), which arrival, phase, whether the root pointer is ours.
AFTER = (("takeover_commit", 1, COMMIT, False), ("vtd_set_root", 1, COMMIT, False),
         ("vtd_set_root>vtd_invalidate_all", 1, COMMIT, True), ("vtd_set_root>vtd_invalidate_all", 2, COMMIT, True),
         ("takeover_verify", 1, VERIFY, True))
AFTER_AMD = (("takeover_commit", 1, COMMIT, False), ("amdvi_take_events", 1, COMMIT, False),
             ("amdvi_take_commands", 1, COMMIT, False), ("amdvi_switch_tables", 1, COMMIT, False),
             ("amdvi_switch_tables>amdvi_flush_unit", 1, COMMIT, True),
             ("amdvi_switch_tables>amdvi_flush_unit", 2, COMMIT, True), ("takeover_verify", 1, VERIFY, True))
# When all is done: nothing of it may be lost.
HAND_OVER = (("stage_report", 1), ("dam_takeover_report", 1), ("stage_print_report", 1), ("stage_handover", 1),
             ("elfcore_add_note", 1), ("setup_set_cmdline", 1), ("stage_leave", 1), ("stage_jump", 1))


class Fault:
    """A way to raise a vector at the place where the machine stands."""

    def __init__(self, name, vector, error=0, piece=None, cr2=None, prepare=None, where=None):
        self.name, self.vector, self.error, self.cr2, self.prepare = name, vector, error, cr2, prepare
        self.piece, self.where = piece, where

    def raise_in(self, bench):
        """Lets the machine go on into the exception. Returns the range in which its rip will be."""
        if self.prepare:
            self.prepare(bench)
        start, end = bench.piece(self.piece or self.name)
        bench.gdb.set("rip", start)
        return self.where or (start, end)


class Delivered(Fault):
    """For what no program in 64-bit mode can raise with its error code at privilege 0: what the CPU would do on the
    way to the handler (Intel SDM volume 3, 6.14.2 and 6.14.5) is done by hand, on the stack of the task segment."""

    def raise_in(self, bench):
        gdb = bench.gdb
        rip, rsp, flags = gdb.get("rip"), gdb.get("rsp"), gdb.get("eflags")
        stack = words(gdb.read(bench.address("task") + 36, 8), 1)[0] & ~15
        frame = struct.pack("<6Q", self.error, rip, 0x10, flags, rsp, 0x18)
        gdb.write(stack - len(frame), frame)
        gdb.set("rsp", stack - len(frame))
        gdb.set("rip", bench.address("stage_trap_stubs") + 16 * self.vector)
        return rip, rip


class Outside(Fault):
    """Comes from outside: NMI and machine check."""

    def raise_in(self, bench):
        rip = bench.gdb.get("rip")
        if self.vector == 2:
            bench.qmp.call("inject-nmi")
        else:
            answer = bench.qmp.call("human-monitor-command", **{
                "command-line": "mce 0 1 0xbe00000000000000 0x5 0x1000 0x0"})
            assert not answer, answer
        return rip, rip + 16 # an instruction or two may go first


def lose_task(bench):
    """An available task segment that is not present."""
    bench.gdb.write(bench.address("stage_gdt") + 0x20 + 5, b"\x09")


def add_absent_segment(bench):
    """Data, not present, where the upper half of the task segment's descriptor was: nobody reads that again."""
    bench.gdb.write(bench.address("stage_gdt") + 0x28, struct.pack("<Q", 0x00CF12000000FFFF))


def lose_page_fault_gate(bench):
    """So that a page fault becomes a double fault."""
    bench.gdb.write(bench.address("idt") + 14 * 16 + 5, b"\x0e")


UD = Fault("ud", 6)
LOST_STACK = Fault("pf_lost_stack", 14, 2, cr2=0x7EFFFFFFFFF8)
NMI = Outside("nmi", 2)
MACHINE_CHECK = Outside("mc", 18)
FAULTS = (
    Fault("de", 0), Fault("db", 1), Fault("bp", 3), Fault("of", 4), Fault("br", 5), UD, Fault("nm", 7),
    Fault("df", 8, piece="pf", prepare=lose_page_fault_gate), Fault("v9", 9), Delivered("ts", 10, 0x18),
    Fault("np", 11, 0x20, prepare=lose_task), Fault("ss", 12, 0x28, prepare=add_absent_segment), Fault("gp", 13),
    Fault("gp_int", 13, None), # QEMU 7.2 tells another selector than hardware does
    Fault("pf", 14, 0, cr2=0x7F0000000000), Fault("pf_write", 14, 3),
    Fault("pf_jump", 14, 0x10, cr2=0x7F0000000000, where=(0x7F0000000000, 0x7F0000000000)), LOST_STACK, Fault("v15", 15),
    Fault("mf", 16), Delivered("ac", 17), MACHINE_CHECK, Fault("xm", 19), Fault("ve", 20), Delivered("cp", 21, 1),
    Fault("v22", 22), Fault("hv", 28), Delivered("vc", 29, 0x72), Delivered("sx", 30, 1), Fault("v31", 31),
    Fault("registers", 6))
EVERYWHERE = (UD, LOST_STACK, MACHINE_CHECK, NMI)


class Check:
    """Counts, prints TAP, and holds what a hand-over is compared with."""

    def __init__(self, bench):
        self.bench = bench
        self.number = self.failed = 0

    def report(self, name, wrong):
        self.number += 1
        self.failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.number} - {name}", flush=True)
        for line in wrong:
            print(f"# {line}", flush=True)

    def kernel(self, words_="", **options):
        """The kexec that the next runs are about, and its hand-over with cofferdam.off."""
        self.kexec = Kexec(words_, **options)
        self.bench.load(Kexec(words_ + " cofferdam.off", **options))
        self.off = self.bench.finish()
        assert self.off and self.off.note and self.off.note.stop == STOP_OFF, "no hand-over with cofferdam.off"
        self.bench.load(self.kexec)
        self.plain = bytearray(self.bench.before[BOOT_PARAMS:BOOT_PARAMS + 4096])
        header = self.off.bp[0x1F1:0x271]
        self.plain[0x1F1:0x271] = header
        self.plain[0x228:0x22C] = struct.pack("<I", CMDLINE)
        self.old_root = self.off.root

    def hand_over(self, result):
        """What must be the same whatever happened."""
        wrong = []
        if not result:
            return [f"the kernel was not reached: {self.bench.why}"]
        off = self.off
        for name, got, want in (
                ("registers", result.registers, off.registers), ("selectors", result.selectors, off.selectors),
                ("control registers", result.control, off.control), ("GDTR", result.gdtr, off.gdtr),
                ("IDTR", result.idtr, off.idtr)):
            if got != want:
                wrong.append(f"{name}: {got}, not {want}")
        if result.old_changed:
            wrong.append(f"old memory changed: {result.old_changed}")
        if result.note:
            line = self.kexec.line.split(" ", 1)[1]
            if result.line.split(" ", 1)[1] != line or not result.line.startswith("elfcorehdr=0x"):
                wrong.append(f"command line: {result.line}")
            if result.bp != off.bp:
                wrong.append("boot_params: not those of a delivered note")
        else:
            if result.line != self.kexec.line:
                wrong.append(f"command line: {result.line}")
        if not result.is_on:
            wrong.append("translation is off")
        return wrong

    def untouched(self, result):
        """The hardware as it was, and boot_params too unless there is a note."""
        wrong = self.hand_over(result)
        if not result:
            return wrong
        if result.unit != self.off.unit:
            wrong.append(f"registers of the IOMMU: {differences(result.unit, self.off.unit)}")
        if not result.note and result.bp != bytes(self.plain):
            wrong.append(f"boot_params without a note: {differences(result.bp, bytes(self.plain))}")
        return wrong

    def record(self, result, fault, where):
        """The exception in the note."""
        note = result.note
        wrong = []
        if fault.vector == 2:
            if not note.flags & NMI_FLAG or note.nmi_count != 1:
                wrong.append(f"NMI not counted: flags {note.flags:#x}, {note.nmi_count}")
            return wrong
        if not note.flags & EXCEPTION:
            return ["no exception in the note"]
        if note.vector != fault.vector or fault.error not in (None, note.error):
            wrong.append(f"vector {note.vector}, error {note.error:#x}, not {fault.vector}, {fault.error}")
        if not where[0] <= note.rip <= where[1]: # a trap tells the instruction behind it
            wrong.append(f"rip {note.rip:#x}, not in {where[0]:#x}-{where[1]:#x}")
        if fault.cr2 is not None and note.cr2 != fault.cr2:
            wrong.append(f"cr2 {note.cr2:#x}, not {fault.cr2:#x}")
        return wrong

    def inject(self, name, fault, count=1):
        """One run with a fault; (result, range of its rip), or (None, None) when the place was not reached. Before
        the stage has its interrupt table nothing can be caught, as in the kernels before and after it."""
        self.bench.fill()
        *on_the_way, place = ["stage_bootstrap_ops", *name.split(">")]
        if not all(map(self.bench.run_to, on_the_way)) or not self.bench.run_to(place, count=count):
            return None, None
        where = fault.raise_in(self.bench)
        return self.bench.finish(), where


def differences(a, b):
    return [f"{i:#x}: {a[i]:#x} not {b[i]:#x}" for i in range(min(len(a), len(b))) if a[i] != b[i]][:8]


def before_commit(check, points, faults, what=""):
    for name, phase in points:
        for fault in faults:
            result, where = check.inject(name, fault)
            if where is None:
                check.report(f"{what}{fault.name} at {name}", ["the place was not reached"])
                continue
            wrong = check.untouched(result)
            if not wrong and phase is not None and not result.note:
                wrong = ["no note"]
            if not wrong and phase is None and result.note:
                wrong = ["a note, so early"]
            if not wrong and result.note:
                stop = STOP_NMI if fault.vector == 2 else STOP_EXCEPTION
                if (result.note.stop, result.note.phase) != (stop, phase):
                    wrong.append(f"stop {result.note.stop}, phase {result.note.phase}; not {stop}, {phase}")
                wrong += check.record(result, fault, where)
            check.report(f"{what}{fault.name} at {name}: untouched", wrong)


def after_commit(check, points, faults, what=""):
    for name, count, phase, ours in points:
        for fault in faults:
            result, where = check.inject(name, fault, count)
            label = f"{what}{fault.name} at {name}{f' ({count})' if count > 1 else ''}"
            if where is None:
                check.report(label, ["the place was not reached"])
                continue
            wrong = check.hand_over(result)
            if not wrong and not result.note:
                wrong = ["no note"]
            if not wrong:
                wrong += check.record(result, fault, where)
                wrong += done_as_told(check, result)
                if fault.vector == 2:
                    want = (STOP_NONE, VERIFY, True)
                else:
                    want = (STOP_COMMIT_EXCEPTION, phase, ours)
                got = (result.note.stop, result.note.phase, result.root != check.old_root)
                if got != want:
                    wrong.append(f"stop, phase, root pointer ours: {got}, not {want}")
            check.report(f"{label}: as far as it came", wrong)


def done_as_told(check, result):
    """What the note says of the unit is what the payload read from it."""
    note = result.note
    wrong = []
    status, _, after = note.units[0]
    ours = result.root != check.old_root
    if ours and not result.pool[0] <= result.root < result.pool[1]:
        wrong.append(f"root pointer {result.root:#x}: neither the old one nor in the pool")
    if bool(note.flags & COMMITTED) != ours:
        wrong.append(f"root pointer {result.root:#x}, but flags {note.flags:#x}")
    if (status in (UNIT_TAKEN, UNIT_FAILED_AFTER)) != ours:
        wrong.append(f"root pointer {result.root:#x}, but status {status}")
    if after[0] != result.root:
        wrong.append(f"root pointer {result.root:#x}, but the note says {after[0]:#x}")
    return wrong


def hand_over(check, points, faults, what=""):
    """Once all is done nothing is lost: taken over, with a note, and a word on what happened wherever it still can
    be written down."""
    for name, count in points:
        for fault in faults:
            result, where = check.inject(name, fault, count)
            if where is None:
                check.report(f"{what}{fault.name} at {name}", ["the place was not reached"])
                continue
            wrong = check.hand_over(result)
            if not wrong and result.bp[0x1E8] != check.off.bp[0x1E8]:
                wrong.append("the pool is not reserved")
            if not wrong and not result.pool[0] <= result.root < result.pool[1]:
                wrong.append(f"root pointer {result.root:#x}")
            if not wrong and result.note:
                if result.note.stop != STOP_NONE or result.note.phase != VERIFY or not result.note.flags & COMMITTED:
                    wrong.append(f"stop {result.note.stop}, phase {result.note.phase}, flags {result.note.flags:#x}")
                if name in ("stage_report", "dam_takeover_report", "stage_print_report"):
                    wrong += check.record(result, fault, where)
            if not wrong and not result.note and name not in ("stage_handover", "elfcore_add_note", "setup_set_cmdline"):
                wrong.append("no note")
            check.report(f"{what}{fault.name} at {name}: taken over", wrong)


def every_function(check, faults):
    """The same at the first instruction of every function of the stage that is reached at all."""
    skipped = ("stage_start", "stage_entry", "stage_main", "stage_trap", "trap_common", "trap_install",
               "stage_bootstrap_ops", "stage_trap_stubs", "stage_return_to", "stage_safe_point", "stage_reset")
    names = [n for n, (_, kind) in check.bench.stage.items() if kind in "tT" and n not in skipped]
    names = [n for n in names if not n.startswith("stage_image_header") and not n.endswith("_field")]
    seen, reached = set(), 0
    for fault in faults:
        wrong = []
        reached = 0
        for name in names:
            if check.bench.address(name) in seen:
                continue
            result, where = check.inject(name, fault)
            if where is None:
                seen.add(check.bench.address(name))
                continue
            reached += 1
            trouble = check.hand_over(result)
            if result and result.root == check.old_root and result.unit != check.off.unit and result.note and \
                    result.note.stop < 64:
                trouble.append(f"called untouched: {differences(result.unit, check.off.unit)}")
            if result and result.note and result.note.units:
                trouble += done_as_told(check, result) if result.note.phase >= COMMIT else []
            if result and result.root != check.old_root and result.note and 1 <= result.note.stop <= 63:
                trouble.append(f"stop {result.note.stop} with root pointer {result.root:#x}")
            wrong += [f"{name}: {line}" for line in trouble]
        if reached < 100:
            wrong.append(f"only {reached} functions reached")
        check.report(f"{fault.name} at the start of each of {reached} functions", wrong)


def every_access(check, name, fault):
    """At every write of a register, or every read: none may be missed by a list of places."""
    wrong, count = [], 0
    while count < 2000:
        result, where = check.inject(name, fault, count + 1)
        if where is None:
            break
        count += 1
        trouble = check.hand_over(result)
        if result and result.note and result.note.units and result.note.phase >= COMMIT:
            trouble += done_as_told(check, result)
        wrong += [f"access {count}: {line}" for line in trouble]
    if count < 5:
        wrong.append(f"only {count} accesses")
    check.report(f"{fault.name} at each of {count} calls of {name}", wrong)


def twice(check):
    """A second exception or NMI in what the first one leads to."""
    bench = check.bench
    for first, second, place in ((MACHINE_CHECK, MACHINE_CHECK, "stage_report"), (UD, UD, "stage_report"),
                                 (NMI, NMI, "stage_report"), (UD, NMI, "stage_trap"), (NMI, UD, "stage_report"),
                                 (UD, UD, "stage_leave"), (UD, UD, "stage_print_report")):
        for name, touched in (("takeover_audit", False), ("takeover_verify", True)):
            bench.fill()
            wrong = []
            if not bench.run_to(name):
                wrong = ["the first place was not reached"]
            else:
                first.raise_in(bench)
                if not bench.run_to(place):
                    wrong = ["the second place was not reached"]
                else:
                    second.raise_in(bench)
                    result = bench.finish()
                    wrong = check.hand_over(result) if touched else check.untouched(result)
            check.report(f"{first.name} at {name}, then {second.name} at {place}", wrong)


def stays_hidden(check):
    """What was to be hidden stays so whatever comes while it is hidden, and translation stays on."""
    bench = check.bench
    bench.load(Kexec("cofferdam.iommu=hide"))
    shown = struct.unpack_from("<Q", bench.before, BOOT_PARAMS + 0x70)[0]
    for fault in EVERYWHERE:
        for name in ("stage_hide", "takeover_verify", "stage_report"):
            result, where = check.inject(name, fault)
            wrong = []
            if where is None or not result:
                wrong = ["the place, or the kernel, was not reached"]
            elif struct.unpack_from("<Q", result.bp, 0x70)[0] == shown or "acpi_rsdp=" not in result.line:
                wrong = ["the IOMMU is shown"]
            elif not result.is_on or not result.pool[0] <= result.root < result.pool[1] or result.old_changed:
                wrong = [f"on: {result.is_on}, root pointer {result.root:#x}, {result.old_changed}"]
            check.report(f"hidden: {fault.name} at {name}", wrong)


def no_end_of_exceptions(check):
    """What makes every way back an exception again ends in a reset, as an exception does without the stage; never in
    a machine that stands."""
    bench = check.bench
    for name in ("takeover_audit", "takeover_verify", "stage_handover"):
        bench.fill()
        wrong = []
        if not bench.run_to(name):
            wrong = ["the place was not reached"]
        else:
            bench.gdb.write(bench.address("stage_gdt") + 0x18 + 5, b"\x12") # the data segment is not present
            UD.raise_in(bench)
            if bench.finish() or bench.why != "reset":
                wrong = [f"no reset: {bench.why}"]
        check.report(f"exceptions without end at {name}: a reset", wrong)


def old_translation_never_off(check):
    """QEMU's own word on it: translation was turned on by the ROM in each run, and off never."""
    lines = (check.bench.folder / "trace").read_text().splitlines()
    off = check.bench.unit.turned_off(lines)
    wrong = [f"{len(off)} times off"] if off else []
    if not lines:
        wrong.append("QEMU traced nothing")
    check.report(f"translation went on {len(lines)} times, and off never", wrong)


def scalable(check, full):
    """VT-d in scalable mode."""
    check.bench = bench = open_bench(device=VTD.DEVICE + ",x-scalable-mode=on")
    try:
        check.kernel(scalable=True)
        before_commit(check, BEFORE if full else BEFORE[-3:], EVERYWHERE, "scalable: ")
        after_commit(check, AFTER, EVERYWHERE, "scalable: ")
        every_access(check, "op_mmio_write", UD)
        old_translation_never_off(check)
    finally:
        bench.close()


def amd(check, full):
    """AMD-Vi."""
    check.bench = bench = open_bench(unit=AMD)
    try:
        check.kernel()
        before_commit(check, BEFORE if full else BEFORE[-4:], EVERYWHERE, "AMD: ")
        after_commit(check, AFTER_AMD, EVERYWHERE, "AMD: ")
        hand_over(check, HAND_OVER if full else HAND_OVER[:1] + HAND_OVER[-1:], EVERYWHERE, "AMD: ")
        every_access(check, "op_mmio_write", UD)
        every_access(check, "op_mmio_write", NMI)
        every_access(check, "op_mmio_read", UD)
        every_function(check, (UD, NMI))
        for policy in ("preserve", "scratch", "block"):
            check.kernel(f"cofferdam.policy={policy}")
            after_commit(check, AFTER_AMD, EVERYWHERE if full else (UD, NMI), f"AMD, {policy}: ")
        stays_hidden(check)
        old_translation_never_off(check)
    finally:
        bench.close()


def main():
    full = "--full" in sys.argv
    bench = open_bench()
    try:
        check = Check(bench)
        check.kernel()
        before_commit(check, BEFORE, EVERYWHERE)
        before_commit(check, [p for p in BEFORE if p[0] in ("stage_fill_regions", "takeover_audit")],
                      [f for f in FAULTS if f not in EVERYWHERE and (f.name != "pf_write")])
        before_commit(check, [("takeover_audit", AUDIT)], [f for f in FAULTS if f.name == "pf_write"])
        after_commit(check, AFTER, EVERYWHERE)
        after_commit(check, AFTER if full else AFTER[2:3], [f for f in FAULTS if f not in EVERYWHERE])
        hand_over(check, HAND_OVER, EVERYWHERE)
        twice(check)
        no_end_of_exceptions(check)
        stays_hidden(check)
        check.kernel()
        every_access(check, "op_mmio_write", UD)
        every_access(check, "op_mmio_write", NMI)
        every_access(check, "op_mmio_read", UD)
        every_function(check, (UD, NMI))
        for what, words_, options in (
                ("5-level: ", "", {"la57": True}), ("registers: ", "", {"steps": VTD.steps(queue=False, remapping=False)}),
                ("preserve: ", "cofferdam.policy=preserve", {}), ("scratch: ", "cofferdam.policy=scratch", {}),
                ("block: ", "cofferdam.policy=block", {})):
            check.kernel(words_, **options)
            faults = EVERYWHERE if full else (UD, NMI)
            before_commit(check, BEFORE if full else BEFORE[-3:], faults, what)
            after_commit(check, AFTER, faults, what)
            hand_over(check, HAND_OVER if full else HAND_OVER[:1] + HAND_OVER[-1:], faults, what)
        old_translation_never_off(check)
    finally:
        bench.close()
    scalable(check, full)
    amd(check, full)
    print(f"1..{check.number}")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
