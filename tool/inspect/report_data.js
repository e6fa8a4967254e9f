// SPDX-License-Identifier: MIT
// What the page knows: the data in it, and what they say about a range of memory. Every string there may come
// from a hostile dump: text is only ever put in as text nodes. Addresses are counted in pages of 4 KiB, which
// JavaScript's numbers hold exactly.
const PAGE = 4096;
const READ = 1, WRITE = 2;
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// ---- elements and words -----------------------------------------------------------------------------------
function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (typeof value === "function") node.addEventListener(name, value);
        else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
    }
    for (const child of children)
        if (child !== null && child !== undefined) node.append(child);
    return node;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function bytes(n) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) {
        n /= 1024;
        unit++;
    }
    const shown = Number.isInteger(n) ? n.toString() : n.toFixed(n < 10 ? 2 : 1);
    return shown + "\u00a0" + units[unit];
}
const pages = (n) => bytes(n * PAGE);
const hex = (page) => "0x" + page.toString(16) + (page > 0 ? "000" : "");
// The last byte, as people who read memory maps expect it.
const hexLast = (page) => "0x" + (page > 1 ? (page - 1).toString(16) : "") + "fff";
const span = (from, to) => `${hex(from)} – ${hexLast(to)}`;
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const rightsWord = (rights) => rights === READ ? "read" : rights === WRITE ? "write" : "read, write";
function percent(part, all) {
    if (part === 0 || all === 0) return "0 %";
    const share = 100 * part / all;
    return share < 0.01 ? "< 0.01 %" : (share < 10 ? share.toFixed(2) : share.toFixed(1)) + " %";
}
const numbers = (text) => text ? text.split(" ").map(Number) : [];

// ---- the data ---------------------------------------------------------------------------------------------
const map = data.map;
const cellPages = map.cell_pages;
const cells = [];
for (let n = numbers(map.cells), i = 0; i + 4 < n.length; i += 5) {
    const start = n[i] * cellPages;
    cells.push({start, end: start + cellPages, ram: n[i + 1], read: n[i + 2], one: n[i + 3], several: n[i + 4]});
}
const ram = [];
for (let n = numbers(map.ram), i = 0, at = 0; i + 1 < n.length; i += 2) {
    ram.push([at + n[i], at + n[i] + n[i + 1]]);
    at += n[i] + n[i + 1];
}
const totalRam = cells.reduce((sum, c) => sum + c.ram, 0);

// Entries by cell: {read, write, readOnly, all, runs: [[start, end, rights]…]}. Taken apart when somebody asks
// for them, since there may be many.
function entriesOf(tree) {
    if (tree.byCell) return tree.byCell;
    const n = numbers(tree.entries), entries = new Map();
    for (let i = 0; i + 5 < n.length;) {
        const cell = n[i], read = n[i + 1], write = n[i + 2], readOnly = n[i + 3], all = n[i + 4], kept = n[i + 5];
        const runs = [];
        i += 6;
        for (let k = 0, at = cells[cell].start; k < kept; k++, i += 3) {
            runs.push([at + n[i], at + n[i] + n[i + 1], n[i + 2]]);
            at += n[i] + n[i + 1];
        }
        entries.set(cell, {read, write, readOnly, all, runs});
    }
    tree.byCell = entries;
    return entries;
}
function prepare(tree) {
    tree.outsideRuns = [];
    const o = numbers(tree.outside);
    for (let i = 0; i + 2 < o.length; i += 3) tree.outsideRuns.push([o[i], o[i] + o[i + 1], o[i + 2]]);
    tree.users = [];
}
data.trees.forEach(prepare);
prepare(map.tables);
data.requesters.forEach((r, i) => {
    r.index = i;
    r.label = r.address + (r.more || "");
    r.what = [r.vendor, r.product].filter(Boolean).join(" ");
    r.treeData = r.tree >= 0 ? data.trees[r.tree] : null;
    if (r.treeData) r.treeData.users.push(r);
});
// Requesters that the page leaves out count as well: weight is how many, 2 stands for several.
for (const tree of data.trees)
    tree.weight = tree.requesters === undefined ? 2 : Math.max(tree.requesters, 1);
const usedTrees = data.trees.filter((t) => t.requesters === undefined ? t.users.length > 0 : t.requesters > 0);
const isUnknown = (r) => Boolean(r.unknown || (r.treeData && r.treeData.unknown_tables > 0));
const unknownOnes = data.requesters.filter(isUnknown);
const blindUnits = data.units.filter((u) => u.unknown);
const anyUnknown = unknownOnes.length > 0 || data.units.length === 0 || blindUnits.length > 0 || data.gaps;
const crash = data.crash.map((r) => {
    const start = BigInt(r.start), end = BigInt(r.end);
    return [Number(start >> 12n), Number((end + 4095n) >> 12n)];
}).filter(([a, b]) => b > a);

// ---- questions about a range of pages ---------------------------------------------------------------------
function overlaps(list, from, to) {
    return list.filter(([a, b]) => a < to && b > from)
        .map(([a, b, ...rest]) => [Math.max(a, from), Math.min(b, to), ...rest]);
}
const sum = (list) => list.reduce((all, [a, b]) => all + b - a, 0);
function cellsIn(from, to) {
    let low = 0, high = cells.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (cells[middle].end > from) high = middle;
        else low = middle + 1;
    }
    let last = low;
    while (last < cells.length && cells[last].start < to) last++;
    return [low, last];
}
// What one tree can do in [from, to): pages, exactly, unless complete is false and the range cuts through cells.
function treeIn(tree, from, to) {
    const out = {read: 0, write: 0, readOnly: 0, all: 0, complete: tree.detailed, exact: tree.detailed, runs: []};
    if (tree.everything) {
        out.runs = overlaps(ram, from, to).map(([a, b]) => [a, b, READ | WRITE]);
        out.read = out.write = sum(out.runs);
        out.all = out.runs.length;
        return out;
    }
    const [first, last] = cellsIn(from, to), entries = entriesOf(tree);
    for (let c = first; c < last; c++) {
        const e = entries.get(c);
        if (!e) continue;
        const whole = cells[c].start >= from && cells[c].end <= to, runs = whole ? e.runs : overlaps(e.runs, from, to);
        if (e.runs.length < e.all) out.complete = false;
        out.runs.push(...runs);
        if (whole) {
            out.all += e.all;
            out.read += e.read;
            out.write += e.write;
            out.readOnly += e.readOnly;
            continue;
        }
        if (e.runs.length < e.all) out.exact = false;
        out.all += runs.length;
        for (const [a, b, rights] of runs) {
            if (rights & READ) out.read += b - a;
            if (rights & WRITE) out.write += b - a;
            if (rights === READ) out.readOnly += b - a;
        }
    }
    // Runs go on over the border of two cells.
    const joined = [];
    for (const run of out.runs) {
        const before = joined[joined.length - 1];
        if (before && before[1] === run[0] && before[2] === run[2]) {
            before[1] = run[1];
            out.all--;
        } else {
            joined.push(run.slice());
        }
    }
    out.runs = joined;
    return out;
}
// Whether every range of these cells is in the page, so that pages can be told apart.
function knownExactly(from, to, trees) {
    if (map.granule_pages > 1 || map.ram_cut) return false;
    const [first, last] = cellsIn(from, to);
    return trees.every((tree) => {
        if (tree.everything) return true;
        if (!tree.detailed) return false;
        for (let c = first; c < last; c++) {
            const e = entriesOf(tree).get(c);
            if (e && e.runs.length < e.all) return false;
        }
        return true;
    });
}
