#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam inspect DUMP report` in a real browser: the page against tables that are made here."""
import contextlib
import json
import os
import re
import struct
import sys
import zlib

sys.dont_write_bytecode = True  # keeps the source tree clean

from answers import FINDINGS, INCOMPLETE, SYSTEM, USAGE, validate  # noqa: E402
from notefile import note, summary, unit  # noqa: E402
from notefile import elf_note, NOTE_TYPE  # noqa: E402
from tap import ROOT, Skip, main, run  # noqa: E402
from vtdimage import PAGE, R, W, Image, rid  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import browser  # noqa: E402

MIB = 1 << 20
RAM = ((0, 0xA0000), (0x100000, 128 * MIB), (1 << 32, (1 << 32) + 64 * MIB))
CELL = 64 * PAGE  # what 192 MiB are cut into
CRASH = (0x3000000, 0x3400000)
NIC, DISK, USB, GPU, LATE = "00:02.0", "00:03.0", "00:04.0", "03:00.0", "05:00.0"
OUTSIDE = 0xE0000000
HOSTILE_RELEASE = '6.1"></script><script>boom()</script><img src=x onerror=boom()>'
HOSTILE_NAME = "<img src=x onerror=boom()>&lt;b&gt;'\".elf"


class Machine:
    """Tables of five requesters, and what they map: rights of each tree by physical page."""

    def __init__(self):
        self.image = Image(ram=RAM)
        self.root = self.image.table()
        self.rights, self.users = {}, {}
        self.next_iova = 0x10000000
        self.gsts = 0xC7000000

    def tree(self, name, *users):
        """A set of tables that users share."""
        tables = self.image.table()
        for user in users:
            self.image.second_stage(self.root, rid(user), tables, domain=len(self.rights) + 1)
        self.rights[name], self.users[name] = {}, users
        return tables

    def map(self, name, tables, target, rights, pages=1, level=0):
        """Maps pages of a level somewhere to target."""
        size = PAGE << 9 * level
        self.next_iova = -(-self.next_iova // size) * size
        for n in range(pages):
            slot = self.image.map(tables, self.next_iova, target + n * size, rights, level)
            self.next_iova += size
            for page in range((target + n * size) // PAGE, (target + (n + 1) * size) // PAGE):
                self.rights[name][page] = self.rights[name].get(page, 0) | rights
        return slot

    def notes(self):
        """VMCOREINFO with a hostile release, and a note that says where the tables and the crash region are."""
        found = bytearray(unit())
        rtaddr = found.index(struct.pack("<Q", 0x1B20000))
        found[rtaddr:rtaddr + 8] = struct.pack("<Q", self.root)
        gsts = found.index(struct.pack("<I", 0xC7000000))  # the first one: before the takeover
        found[gsts:gsts + 4] = struct.pack("<I", self.gsts)
        descriptor = note([(1, 160, summary(units=1)), (2, 160, bytes(found)), (7, 16, struct.pack("<QQ", *CRASH))])
        info = f"OSRELEASE={HOSTILE_RELEASE}\nPAGESIZE=4096\n".encode()
        return elf_note("VMCOREINFO", 0, info) + elf_note("COFFERDAM", NOTE_TYPE, descriptor)

    # ---- what the page must say, counted here -------------------------------------------------------------
    @staticmethod
    def ram_pages(start, end):
        """Pages of memory, the crash region among them, in [start, end)."""
        return [p for a, b in RAM for p in range(max(start, a) // PAGE, min(end, b) // PAGE)]

    def counts(self, start, end, only=None):
        """Pages in [start, end): (writable by several, by one, readable alone, all)."""
        several = one = read = 0
        pages = self.ram_pages(start, end)
        for page in pages:
            writers = readers = 0
            for name, rights in self.rights.items():
                if only is None or name == only:
                    weight = len(self.users[name]) if only is None else 1
                    writers += weight if rights.get(page, 0) & W else 0
                    readers += 1 if rights.get(page, 0) & R else 0
            several += writers > 1
            one += writers == 1
            read += writers == 0 and readers > 0
        return several, one, read, len(pages)


def usual():
    """The machine that most tests look at."""
    m = Machine()
    nic = m.tree("nic", NIC)
    disk = m.tree("disk", DISK, USB)
    gpu = m.tree("gpu", GPU)
    m.map("nic", nic, 0x500000, R | W, pages=3)
    m.map("nic", nic, 0x510000, W, pages=2)  # written alone
    m.map("nic", nic, 0x600000, R, pages=64)  # a whole cell, read alone
    m.map("nic", nic, 0x2000000, R | W, pages=1, level=1)  # 2 MiB
    for n in range(20):
        m.map("nic", nic, 0x700000 + 2 * n * PAGE, R | W)  # every other page
    m.map("disk", disk, (1 << 32) + 0x100000, R | W, pages=40)
    m.map("disk", disk, (1 << 32) + 0x3FFF000, R | W)  # the last page
    m.map("gpu", gpu, 0x502000, R | W, pages=2)  # the first of them is the NIC's as well
    m.map("gpu", gpu, CRASH[0] + 0x5000, W, pages=2)
    m.image.map(gpu, 0x90000000, OUTSIDE, R | W)
    m.map("gpu", gpu, 0x1000, R)
    return m


def make(folder, machine, name="vmcore"):
    """Writes the dump and its report; returns the page."""
    dump, page = folder / name, folder / "report.html"
    machine.image.elf(dump, machine.notes())
    done = run("inspect", dump, "report", "-o", page)
    assert done.stdout == b"", done.stdout
    return done.returncode, page


def opened(folder, machine, status=FINDINGS, name="vmcore"):
    """The page of a machine; its exit status must be `status`."""
    got, page = make(folder, machine, name)
    assert got == status, got
    return page


def data_of(page):
    """The page's data."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text(), re.S)
    return json.loads(found.group(1))


def with_data(page, data, path):
    """The same page with other data."""
    before, rest = page.read_text().split('type="application/json">', 1)
    text = json.dumps(data).replace("<", "\\u003c")
    path.write_text(before + 'type="application/json">' + text + rest[rest.index("</script>"):])
    return path


@contextlib.contextmanager
def chrome():
    """The browser that all tests share; a test that needs one is skipped where there is none."""
    if browser.program() is None:
        raise Skip("no chromium here")
    if not running:
        running.append(browsers.enter_context(browser.Browser()))
    yield running[0]


browsers, running = contextlib.ExitStack(), []


def quiet(b, page):
    """Nothing was said, nothing but the page itself was asked for."""
    assert b.console == [], b.console
    assert b.requests == [page.as_uri()], b.requests


SHOWN = """[...document.querySelectorAll(".cell")].map(g => ({start: g.dataset.start, end: g.dataset.end,
    kind: g.getAttribute("class").split(" ")[1], label: g.getAttribute("aria-label"),
    crash: !!g.querySelector(".crash-mark"), tables: !!g.querySelector(".tables-mark"),
    bars: [...g.querySelectorAll(".bar")].map(r => r.getAttribute("class").split(" ")[1])}))"""


def size_of(text):
    """Bytes of "12 KiB"."""
    number, word = text.split()
    return float(number) * {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[word]


def check_cells(b, machine, only=None, unknown=False, marked=True):
    """Every cell that is shown says what the tables say, and every page of memory is in one of them."""
    shown, seen = b.evaluate(SHOWN), 0
    at = int(shown[0]["start"], 16)
    tables = set(machine.image.pages) if marked else set()
    words = {"several": "writable by several", "one": "writable" if only else "writable by one", "read": "only readable"}
    for cell in shown:
        start, end = int(cell["start"], 16), int(cell["end"], 16)
        assert start == at, (cell, hex(at))
        at = end
        several, one, read, ram = machine.counts(start, end, only)
        if ram == 0:
            assert cell["kind"] == "hole" and cell["bars"] == [], cell
            continue
        seen += ram
        want = {"several": several, "one": one, "read": read}
        bars = [name for name, n in want.items() if n > 0]
        rest = "unknown" if unknown else "nobody"
        assert cell["kind"] == (bars + [rest])[0] and cell["bars"] == bars, (cell, want)
        parts = cell["label"].replace("\u00a0", " ").split(", ")
        for name, n in want.items():
            said = [p for p in parts if p.endswith(words[name])]
            assert len(said) == (n > 0), (cell, want)
            if n:
                told = size_of(said[0][:-len(words[name])])
                assert abs(told - n * PAGE) <= 0.01 * n * PAGE, (cell, want)
        assert cell["crash"] == (start < CRASH[1] and end > CRASH[0]), cell
        touched = {p for p in tables if start <= p < end}
        assert cell["tables"] == bool(touched), (cell, touched)
    return shown, seen


def cell_at(shown, address):
    """The number of the cell that an address lies in."""
    return next(i for i, c in enumerate(shown) if int(c["start"], 16) <= address < int(c["end"], 16))


def pixels(png):
    """(width, rows of RGB tuples) of a PNG without interlacing. PNG specification, 9."""
    at, data = 8, b""
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", png, at + 8)
        elif kind == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += 12 + size
    step = {2: 3, 6: 4}[colour]
    assert depth == 8
    raw, rows, before = zlib.decompress(data), [], bytearray(width * step)
    for y in range(height):
        kind, line = raw[y * (width * step + 1)], bytearray(raw[y * (width * step + 1) + 1:(y + 1) * (width * step + 1)])
        for i, value in enumerate(line):
            left = line[i - step] if i >= step else 0
            up, corner = before[i], before[i - step] if i >= step else 0
            if kind == 4:
                p = left + up - corner
                near = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
            else:
                near = (0, left, up, (left + up) // 2)[kind]
            line[i] = value + near & 255
        before = line
        rows.append([tuple(line[x * step:x * step + 3]) for x in range(width)])
    return rows


def colour_of(b, number, bar):
    """The colour that is really on the screen in the middle of a bar, or of the cell's ground."""
    x, y = b.point(f"#cell-{number} .{bar}")
    b.mouse("mouseMoved", 0, 0)
    b.settle()
    return pixels(b.screenshot())[int(y)][int(x)]


# ---- tests ----------------------------------------------------------------------------------------------------
def test_cells_of_the_map(folder):
    machine = usual()
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        quiet(b, page)
        shown, seen = check_cells(b, machine)
        assert seen == len(machine.ram_pages(0, 1 << 40))
        assert [(c["start"], c["end"]) for c in shown if c["kind"] == "hole"] == \
            [("0xc0000", "0x100000"), ("0x8000000", "0x100000000")]
        assert all(int(c["end"], 16) - int(c["start"], 16) == CELL for c in shown if c["kind"] != "hole")
        # Each class has a colour of its own, on the screen as well.
        expected = {"several": (0x500000, "bar.several"), "one": (0x2000000, "bar.one"), "read": (0x600000, "bar.read"),
                    "nobody": (0x1000000, "back")}
        for dark in (False, True):
            b.open(page, dark=dark)
            got = {kind: colour_of(b, cell_at(shown, address), bar) for kind, (address, bar) in expected.items()}
            assert len(set(got.values())) == 4, got
            names = ("--several", "--one", "--read", "--nobody")
            want = [b.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{n}').trim()") for n in names]
            assert [f"#{r:02x}{g:02x}{bl:02x}" for r, g, bl in
                    (got[n[2:]] for n in names)] == want, (got, want)
        quiet(b, page)


def test_hover_and_click_show_the_requesters(folder):
    machine = usual()
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        shown = b.evaluate(SHOWN)
        cell = cell_at(shown, 0x500000)
        b.hover(f"#cell-{cell} .back")
        tip = b.text("#tip")
        assert "0x500000 – 0x53ffff" in tip and "4 KiB writable by several" in tip, tip
        assert "20 KiB writable by one" in tip, tip
        for name in (NIC, GPU):
            assert f"0000:{name}" in tip, tip
        assert f"0000:{DISK}" not in tip, tip
        b.hover("h1")
        assert b.evaluate("document.querySelector('#tip').hidden") is True
        b.click(f"#cell-{cell} .back")
        details = b.text("#details")
        for part in ("0x500000 – 0x53ffff", "0x500000 – 0x502fff", "0x510000 – 0x511fff", "0x502000 – 0x503fff",
                     f"0000:{NIC}", f"0000:{GPU}", "can write 20 KiB, can read 12 KiB", "can write 8 KiB, can read 8 KiB"):
            assert part in details, (part, details)
        assert f"0000:{DISK}" not in details, details
        rows = b.evaluate("[...document.querySelectorAll('#details .runs tr')].map(r => r.innerText)")
        assert [r.split("\t")[-1] for r in rows] == ["read, write", "write", "read, write"], rows
        # Shared tables: both requesters.
        b.click(f"#cell-{cell_at(shown, (1 << 32) + 0x100000)} .back")
        details = b.text("#details")
        assert f"0000:{DISK}" in details and f"0000:{USB}" in details and f"0000:{NIC}" not in details, details
        assert "0x100100000 – 0x100127fff" in details and "160 KiB" in details, details
        # Many ranges: some at once, all when asked.
        b.click(f"#cell-{cell_at(shown, 0x700000)} .back")
        ranges = "document.querySelectorAll('#details .runs tr').length"
        assert b.evaluate(ranges) == 16
        b.click("#details .runs + button")
        assert b.evaluate(ranges) == 20
        # The crash region, and the tables.
        b.click(f"#cell-{cell_at(shown, CRASH[0])} .back")
        details = b.text("#details")
        assert "crash region" in details and "0x3005000 – 0x3006fff" in details and f"0000:{GPU}" in details, details
        b.click(f"#cell-{cell_at(shown, machine.root)} .back")
        assert "IOMMU tables" in b.text("#details")
        # Outside memory: the hole says who.
        b.click(f"#cell-{cell_at(shown, OUTSIDE)} .back")
        details = b.text("#details")
        assert "without memory" in details and "0xe0000000 – 0xe0000fff" in details and f"0000:{GPU}" in details, details
        quiet(b, page)


def test_keys_and_ranges(folder):
    machine = usual()
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        shown = b.evaluate(SHOWN)
        heading = "document.querySelector('#details-range') ? document.querySelector('#details-range').textContent : ''"
        b.evaluate("document.querySelector('#map').focus()")
        b.key("ArrowRight")
        assert b.evaluate(heading) == "0x0 – 0x3ffff"
        b.key("ArrowRight")
        assert b.evaluate(heading) == "0x40000 – 0x7ffff"
        b.key("ArrowRight", modifiers=8)
        assert b.evaluate(heading) == "0x40000 – 0xbffff"
        columns = b.evaluate("new Set([...document.querySelectorAll('.cell .back')].map(r => r.getAttribute('x'))).size")
        b.key("ArrowDown")
        assert b.evaluate(heading).startswith(shown[2 + columns]["start"] + " ")
        assert b.evaluate("document.querySelector('#map').getAttribute('aria-activedescendant')") == f"cell-{2 + columns}"
        b.key("End")
        assert b.evaluate(heading) == "0x103fc0000 – 0x103ffffff"
        b.key("Escape")
        assert b.evaluate(heading) == ""
        # The mouse: a drag, then Shift.
        first, last = cell_at(shown, 0x500000), cell_at(shown, 0x580000)
        b.drag(f"#cell-{first} .back", f"#cell-{last} .back")
        assert b.evaluate(heading) == "0x500000 – 0x5bffff"
        b.click(f"#cell-{last + 2} .back", modifiers=8)
        assert b.evaluate(heading) == "0x500000 – 0x63ffff"
        details = b.text("#details")
        several, one, read, _ = machine.counts(0x500000, 0x640000)
        assert (several, one, read) == (1, 5, 64)
        for part in ("writable by several\t4 KiB", "writable by one\t20 KiB", "only readable\t256 KiB"):
            assert part in details, (part, details)
        b.key("Enter")
        assert b.text("#view") == "0x500000 – 0x63ffff, 4 KiB a cell", b.text("#view")
        quiet(b, page)


def test_zoom_to_single_pages(folder):
    machine = usual()
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        shown = b.evaluate(SHOWN)
        for address in (0, 0x500000, 0x600000, 0x700000, CRASH[0], (1 << 32) + 0x100000):
            b.click(f"#cell-{cell_at(shown, address)} .back", clicks=2)
            fine, seen = check_cells(b, machine)
            assert seen == len(machine.ram_pages(address, address + CELL)) == len(fine) == 64, (seen, len(fine))
            assert int(fine[0]["start"], 16) == address
            b.click("#zoom-out")
            assert b.evaluate("document.querySelectorAll('.cell').length") == len(shown)
            assert b.evaluate("document.querySelectorAll('[aria-selected=\"true\"]').length") == 1
        b.evaluate("document.querySelector('#map').focus()")
        b.key("+", "+")
        assert b.evaluate("document.querySelectorAll('.cell').length") == 64
        b.click("#zoom-all")
        # All memory as one range of coarse cells again.
        check_cells(b, machine)
        quiet(b, page)


def test_filter_by_requester(folder):
    machine = usual()
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        options = b.evaluate("[...document.querySelector('#filter').options].map(o => o.text)")
        assert options[0] == "all requesters (4)", options
        for name, user in (("nic", NIC), ("disk", DISK), ("disk", USB), ("gpu", GPU)):
            number = next(i for i, text in enumerate(options) if text.startswith(f"0000:{user}"))
            b.evaluate(f"""(() => {{ const s = document.querySelector("#filter"); s.selectedIndex = {number};
                           s.dispatchEvent(new Event("change")); }})()""")
            shown, _ = check_cells(b, machine, only=name)
            several, one, read, _ = machine.counts(0, 1 << 40, only=name)
            legend = b.text("#legend")
            assert several == 0 and "several" not in legend, legend
            assert size_of(re.search(r"writable\s+([\d.]+ \w+)", legend).group(1)) - one * PAGE < 0.01 * one * PAGE + 1
        b.click(f"#cell-{cell_at(shown, 0x500000)} .back", clicks=2)
        check_cells(b, machine, only="gpu")
        # Back to all, from inside the zoom.
        b.evaluate("""(() => { const s = document.querySelector("#filter"); s.selectedIndex = 0;
                   s.dispatchEvent(new Event("change")); })()""")
        check_cells(b, machine)
        # From the table of requesters.
        b.click("#zoom-all")
        b.click("#requesters tbody tr:nth-child(1) button")
        check_cells(b, machine, only="nic")
        quiet(b, page)


def test_tables_of_the_page(folder):
    machine = usual()
    page = opened(folder, machine)
    data = data_of(page)
    assert [r["address"] for r in data["requesters"]] == [f"0000:{n}" for n in (NIC, DISK, USB, GPU)]
    for r in data["requesters"]:
        tree = data["trees"][r["tree"]]
        name = {NIC: "nic", DISK: "disk", USB: "disk", GPU: "gpu"}[r["address"][5:]]
        rights = {p: x for p, x in machine.rights[name].items()}
        assert tree["write_pages"] == sum(1 for x in rights.values() if x & W)
        assert tree["read_pages"] == sum(1 for x in rights.values() if x & R)
        assert tree["requesters"] == len(machine.users[name])
        assert tree["crash_written"] == (2 if name == "gpu" else 0)
        assert tree["outside"] == (f"{OUTSIDE // PAGE} 1 3" if name == "gpu" else "")
    with chrome() as b:
        b.open(page)
        rows = b.evaluate("[...document.querySelectorAll('#requesters tbody tr')].map(r => r.innerText)")
        assert len(rows) == 4, rows
        assert "2.14" not in rows[1] and "164 KiB" in rows[1].replace("\u00a0", " "), rows[1]
        assert "1 × 2 MiB" in rows[0].replace("\u00a0", " "), rows[0]
        assert "writes the crash region" in rows[3], rows[3]
        verdicts = b.text("#verdicts")
        assert "Bad." in verdicts and "capture kernel (4 MiB) could be written by 1 requester: 0000:03:00.0; up to 8 KiB" in verdicts, verdicts
        assert "own tables" in verdicts and "could be written by no device" in verdicts, verdicts
        b.click("#find")
        for letter in "03:00":
            b.key(letter, letter)
        assert b.evaluate("document.querySelectorAll('#requesters tbody tr').length") == 1
        assert b.text("#found") == "1 of 4"
        b.evaluate("document.querySelector('#find').value = ''; document.querySelector('#find').dispatchEvent(new Event('input'))")
        b.click("#requesters th:nth-child(5) button")
        first = b.text("#requesters tbody tr:nth-child(1)")
        assert NIC in first, first
        quiet(b, page)


def test_broken_entries_and_findings(folder):
    machine = usual()
    at = machine.image.second_stage(machine.root, rid(LATE), 0x700000, domain=9, kind=1)  # the unit has no device TLBs
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        quiet(b, page)
        check_cells(b, machine)  # it reaches nothing
        row = b.text("#requesters tbody tr:nth-child(5)")
        assert f"0000:{LATE}" in row and "broken" in row and "0 B" in row, row
        rows = b.evaluate("[...document.querySelectorAll('#findings tbody tr')].map(r => r.innerText.split('\\t'))")
        mine = [r for r in rows if r[3] == f"0000:{LATE}"]
        assert len(mine) == 1 and mine[0][0] == "error" and mine[0][4] == hex(at) and mine[0][5] == "0x700005", rows
        assert rows[0][0] == "error" and f"Findings about the tables: {sum(r[0] == 'error' for r in rows)} error" in \
            b.text("#verdicts"), rows
        # Its own view: nothing.
        b.click("#requesters tbody tr:nth-child(5) button")
        assert b.evaluate("document.querySelectorAll('.bar').length - document.querySelectorAll('#legend .bar').length") == 0


def test_unknown_is_not_nobody(folder):
    machine = usual()
    late = machine.tree("late", LATE)
    slot = machine.map("late", late, 0x900000, R | W)
    machine.image.missing.add(slot & ~(PAGE - 1))
    del machine.rights["late"], machine.users["late"]
    page = opened(folder, machine, status=INCOMPLETE)
    # What is missing is no page with tables for the map.
    machine.image.pages.pop(slot & ~(PAGE - 1))
    with chrome() as b:
        b.open(page)
        quiet(b, page)
        check_cells(b, machine, unknown=True)
        assert "unknown: some tables are missing" in b.text("#legend")
        assert "no known mapping could write there" in b.text("#verdicts")
        shown = b.evaluate(SHOWN)
        b.click(f"#cell-{cell_at(shown, 0x900000)} .back")
        assert f"Not all tables of 0000:{LATE} are in the dump" in b.text("#details")
        assert b.evaluate("getComputedStyle(document.querySelector('.back.unknown')).fill").startswith("url(")
        # Who is known is known.
        b.click("#requesters tbody tr:nth-child(1) button")
        check_cells(b, machine, only="nic")


def test_a_root_table_that_is_missing(folder):
    machine = usual()
    machine.image.missing.add(machine.root)
    page = opened(folder, machine, status=INCOMPLETE)
    machine.rights, machine.users = {}, {}
    with chrome() as b:
        b.open(page)
        quiet(b, page)
        shown, _ = check_cells(b, machine, unknown=True, marked=False)
        assert {c["kind"] for c in shown} == {"unknown", "hole"}
        verdicts = b.text("#verdicts")
        assert "could be written by no device" not in verdicts and "are in the dump" in verdicts, verdicts
        assert "table not read" in b.text("#units")


def test_pass_through_reaches_everything(folder):
    machine = usual()
    machine.image.second_stage(machine.root, rid(LATE), 0, domain=9, kind=2)
    machine.rights["late"] = {p: R | W for p in machine.ram_pages(0, 1 << 40)}
    machine.users["late"] = (LATE,)
    page = opened(folder, machine)
    with chrome() as b:
        b.open(page)
        quiet(b, page)
        shown, _ = check_cells(b, machine)
        b.click(f"#cell-{cell_at(shown, 0x500000)} .back", clicks=2)
        check_cells(b, machine)
        verdicts = b.text("#verdicts")
        assert f"0000:{LATE}" in verdicts and "up to 4 MiB of it" in verdicts, verdicts


def test_a_unit_that_was_off_stops_nobody(folder):
    machine = usual()
    machine.gsts = 0x47000000
    page = opened(folder, machine, status=FINDINGS)
    everything = {p: R | W for p in machine.ram_pages(0, 1 << 40)}
    machine.rights = {name: everything for name in machine.rights}
    with chrome() as b:
        b.open(page)
        quiet(b, page)
        shown, _ = check_cells(b, machine, marked=False)
        assert "unit 0 did not translate" in b.text("#verdicts"), b.text("#verdicts")
        options = b.evaluate("[...document.querySelector('#filter').options].map(o => o.text)")
        assert options == ["all requesters (1)", "all behind unit 0"], options
        b.click(f"#cell-{cell_at(shown, CRASH[0])} .back", clicks=2)
        check_cells(b, machine, marked=False)


def test_hostile_strings_are_text(folder):
    machine = usual()
    page = opened(folder, machine, name=HOSTILE_NAME)
    # And every other string of the data, for those that this dump cannot hold.
    data = data_of(page)
    hostile = "</script><script>boom()</script><img src=x onerror=boom()><svg onload=boom()>\u2028"

    def poison(value):
        if isinstance(value, dict):
            keep = {"entries", "outside", "cells", "ram", "address", "severity", "start", "end"}
            return {k: v if k in keep else poison(v) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(v) for v in value]
        return value + hostile if isinstance(value, str) else value
    twin = with_data(page, poison(data), folder / "poisoned.html")
    with chrome() as b:
        for which in (page, twin):
            b.open(which)
            assert b.console == [], b.console
            assert b.requests == [which.as_uri()], b.requests
            assert b.evaluate("document.querySelectorAll('img, iframe, object, link, base').length") == 0
            assert b.evaluate("document.querySelectorAll('script').length") == 2
            b.click("#cell-20 .back")
            b.hover("#cell-21 .back")
            assert b.console == [], b.console
        assert "<svg onload=boom()>" in b.text("#units")
        b.open(page)
        assert b.text("#dump-name") == HOSTILE_NAME
        assert HOSTILE_RELEASE[:40] in b.text("#facts")
        # What runs although it should not would be refused by the policy.
        b.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.owned = 1'}))")
        assert b.evaluate("typeof window.owned") == "undefined"


def test_narrow_dark_and_printed(folder):
    machine = usual()
    page = opened(folder, machine)
    with chrome() as b:
        for width in (320, 390, 768, 1024, 1920):
            b.open(page, width=width, height=800)
            check_cells(b, machine)
            wide = b.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (width, wide)
            picture = b.evaluate("document.querySelector('#map svg').getBoundingClientRect().right")
            assert picture <= width, (width, picture)
        b.resize(390, 800)
        b.settle()
        check_cells(b, machine)
        # On paper: light whatever the screen is, nothing to press, all of the map.
        b.open(page, dark=True)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert b.evaluate(ground) != "rgb(255, 255, 255)"
        b.click("#cell-20 .back")
        b.call("Emulation.setEmulatedMedia", media="print")
        b.resize(700, 1000)  # about what fits on a page
        b.settle()
        assert b.evaluate("document.documentElement.scrollWidth") <= 700
        assert b.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= 700)")
        for name in (NIC, DISK, USB, GPU):
            assert f"0000:{name}" in b.text("#requesters"), b.text("#requesters")
        assert "Could write" in b.text("#requesters thead")
        check_cells(b, machine)
        assert b.evaluate(ground) == "rgb(255, 255, 255)"
        assert b.evaluate("[...document.querySelectorAll('.toolbar button')].every(e => e.offsetParent === null)")
        assert b.evaluate("document.querySelector('#details').offsetParent !== null")
        pdf = b.pdf()
        assert pdf.startswith(b"%PDF") and len(pdf) > 10000
        quiet(b, page)
        # The button turns light into dark.
        b.open(page)
        b.click("#theme")
        assert b.evaluate(ground) != "rgb(255, 255, 255)"


def test_what_is_left_out_is_said(folder):
    machine = usual()
    page = opened(folder, machine)
    data = data_of(page)
    # As with very many mappings: of each cell's ranges only the first is kept.
    for tree in data["trees"]:
        n, short, at = [int(x) for x in tree.get("entries", "").split()], [], 0
        while at < len(n):
            kept = n[at + 5]
            short += n[at:at + 5] + [1] + n[at + 6:at + 9]
            at += 6 + 3 * kept
        tree["entries"] = " ".join(map(str, short))
    data.update(requesters_left_out=7, findings_left_out=3, findings_lost=True)
    data["map"]["granule_pages"] = 4
    twin = with_data(page, data, folder / "short.html")
    with chrome() as b:
        b.open(twin)
        quiet(b, twin)
        shown, _ = check_cells(b, machine)  # colours and sums count all of them
        cell = cell_at(shown, 0x700000)
        b.click(f"#cell-{cell} .back", clicks=2)
        assert b.evaluate("document.querySelectorAll('.cell').length") == len(shown), "pages cannot be told apart"
        details = b.text("#details")
        assert "can write 80 KiB, can read 80 KiB" in details, details
        assert "19 more ranges not kept in this page" in details and "ranges 0000:00:02.0" in details, details
        assert b.evaluate("document.querySelectorAll('#details .runs tr').length") == 1
        assert "7 more requesters left out" in b.text("#requesters-note")
        assert "3 more findings left out" in b.text("#findings-note")
        assert "groups of 16 KiB" in b.text("#about-granule")
        # Several cells can still be looked at alone.
        b.click(f"#cell-{cell + 2} .back", modifiers=8)
        b.click("#zoom-in")
        fine, _ = check_cells(b, machine)
        assert len(fine) == 3, fine


def test_command_line_and_file(folder):
    machine = usual()
    dump = machine.image.elf(folder / "vmcore", machine.notes())
    before = open(dump, "rb").read(4096)

    def refused(status, part, *arguments):
        done = run("inspect", dump, "report", *arguments)
        text = done.stderr.decode()
        assert done.returncode == status and part in text and text.count("\n") == 1, (done.returncode, text)
        assert done.stdout == b""
    refused(USAGE, "-o FILE.html is missing")
    refused(USAGE, "too many arguments", "-o", folder / "a.html", "b")
    refused(USAGE, "is the dump", "-o", dump)
    refused(SYSTEM, "cannot be created", "-o", folder / "none" / "a.html")
    refused(SYSTEM, "not a regular file", "-o", folder)
    assert open(dump, "rb").read(4096) == before
    assert sorted(os.listdir(folder)) == ["vmcore"]
    # An old page is replaced, whole.
    (folder / "a.html").write_text("old")
    assert run("inspect", dump, "report", "-o", folder / "a.html").returncode == FINDINGS
    text = (folder / "a.html").read_text()
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")
    assert len(text) < 200000, len(text)
    done = run("inspect", dump, "report", "--json", "-o", folder / "a.html")
    said = json.loads(done.stdout)
    assert done.returncode == FINDINGS and said == {
        "verb": "report", "dump": str(dump), "file": str(folder / "a.html"), "bytes": (folder / "a.html").stat().st_size,
        "incomplete": False, "partial": False}, said
    validate(said)
    assert sorted(os.listdir(folder)) == ["a.html", "vmcore"]


with browsers:
    main(sys.modules[__name__])
