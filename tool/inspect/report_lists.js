// SPDX-License-Identifier: MIT
// The verdicts, the tables, light and dark; and the beginning of it all.
// ---- in short ---------------------------------------------------------------------------------------------
const SIGNS = {good: "✓ Good.", warn: "▲ Note.", bad: "✗ Bad."};
function verdict(kind, text) {
    byId("verdicts").append(el("li", {class: `verdict ${kind}`}, el("b", {}, SIGNS[kind]), text));
}
// Who can write pages that `what` counts, in words.
function writersOf(what, everythingToo) {
    const trees = usedTrees.filter((t) => t[what] > 0 || (everythingToo && t.everything && t.users.length > 0));
    const who = trees.flatMap((t) => t.users);
    return {who, most: trees.reduce((n, t) => Math.max(n, t[what]), 0)};
}
const names = (who) => who.slice(0, 4).map((r) => r.label).join(", ") + (who.length > 4 ? ` and ${who.length - 4} more` : "");
function protectedVerdict(name, size, what) {
    const {who, most} = writersOf(what, true);
    if (who.length > 0)
        verdict("bad", `${name} (${pages(size)}) could be written by ${count(who.length, "requester")}: ${names(who)}; up to ${pages(who.some((r) => r.treeData.everything) ? size : most)} of it by one.`);
    else if (anyUnknown) verdict("warn", `${name} (${pages(size)}): no known mapping could write there, but not all tables are in the dump.`);
    else if (data.units.some((u) => u.guess)) verdict("warn", `${name} (${pages(size)}) could be written by no device, if the guess about the tables is right.`);
    else verdict("good", `${name} (${pages(size)}) could be written by no device.`);
}
function fillVerdicts() {
    for (const u of data.units.filter((x) => x.off)) verdict("bad", `${u.name} did not translate: every device behind it could read and write all memory.`);
    const crashPages = sum(crash);
    if (crashPages > 0) protectedVerdict("The memory reserved for the capture kernel", crashPages, "crash_written");
    else verdict("warn", "The dump does not tell where the memory reserved for the capture kernel is.");
    if (map.tables.write_pages > 0) protectedVerdict("The memory of the IOMMU's own tables", map.tables.write_pages, "tables_written");
    const all = {several: 0, one: 0, read: 0};
    for (const cell of cells) for (const key of Object.keys(all)) all[key] += cell[key];
    if (totalRam > 0 && data.units.length > 0)
        verdict(all.several + all.one === totalRam ? "bad" : "warn", `${pages(all.one + all.several)} of ${pages(totalRam)} of memory (${percent(all.one + all.several, totalRam)}) could be written by devices, ${pages(all.several)} of it by several; ${pages(all.read)} could only be read.`);
    if (data.units.length === 0) verdict("bad", "No IOMMU tables were found. " + data.kernel_problem);
    if (data.units.some((u) => u.guess)) verdict("warn", "Where the tables are is a guess: a scan of memory for what looks like tables.");
    const trusted = data.requesters.filter((r) => r.ats);
    if (trusted.length > 0) verdict("warn", `${count(trusted.length, "requester")} may send translated addresses (ATS), which are not checked again: ${names(trusted)}.`);
    if (data.units.length > 0 && anyUnknown) verdict("warn", unknownWords(unknownOnes));
    const bad = data.findings.filter((f) => f.severity === "error").length, odd = data.findings.filter((f) => f.severity === "warning").length;
    if (bad + odd > 0) verdict(bad > 0 ? "bad" : "warn", `Findings about the tables: ${count(bad, "error")}, ${count(odd, "warning")}.`);
    else verdict("good", "Nothing is wrong with the tables that were read.");
}
function fillFacts() {
    const fact = (name, value) => value ? el("div", {}, el("dt", {}, name), el("dd", {}, value)) : null;
    byId("version").textContent = data.cofferdam;
    byId("dump-name").textContent = data.dump.name;
    document.title = `${data.dump.name} – Cofferdam report`;
    byId("facts").append(...[fact("Kernel", data.dump.release), fact("Dump", data.dump.format + (data.dump.flattened ? ", flattened" : "")),
        fact("Memory", bytes(data.dump.ram) + (totalRam * PAGE > data.dump.ram ? `, and ${bytes(totalRam * PAGE - data.dump.ram)} of crash region` : "")), fact("In the dump", `${bytes(data.dump.held)} (${percent(data.dump.held, data.dump.ram)})`),
        fact("Tables known from", [...new Set(data.units.map((u) => u.origin))].join(", "))].filter(Boolean));
    byId("about-granule").textContent = map.granule_pages > 1
        ? `There is so much memory that pages are counted in groups of ${pages(map.granule_pages)}: one mapped page counts as a whole group.` : "";
}

// ---- tables -----------------------------------------------------------------------------------------------
function headRow(table, columns) {
    table.append(el("thead", {}, el("tr", {}, ...columns.map((c) => el("th", {class: c.number ? "number" : null, scope: "col"},
        c.sort ? el("button", {type: "button", click: c.sort}, c.name) : c.name)))));
}
function pageSizes(tree) {
    const names = ["4 KiB", "2 MiB", "1 GiB", "512 GiB", "256 TiB", "128 PiB"];
    return (tree.leaves || []).map((n, level) => n > 0 ? `${n.toLocaleString("en")} × ${names[level]}`.replaceAll(" ", "\u00a0") : "").filter(Boolean).join(", ");
}
function modeOf(r) {
    const tree = r.treeData, words = r.kind === "translated" || !r.kind ? `${r.stage} stage` : r.kind;
    const unit = data.units.length > 1 && data.units[r.unit] ? `on ${data.units[r.unit].name}` : "";
    return [words, el("span", {class: "sub"}, unit), el("span", {class: "sub"}, tree && tree.levels && !tree.everything ? `${tree.levels} levels, root ${tree.root}` : "")];
}
function remarks(r) {
    const out = [];
    if (isUnknown(r)) out.push(el("span", {class: "tag warn"}, "unknown"), r.unknown ? "its entry is not in the dump" : `${count(r.treeData.unknown_tables, "table")} not in the dump`);
    if (r.finding) out.push(el("span", {class: "tag bad"}, "broken"), r.finding);
    if (r.vacant) out.push(el("span", {class: "tag"}, "vacant"), "no such function is known: nobody is there to use it");
    if (r.ats) out.push(el("span", {class: "tag"}, "ATS"));
    if (r.treeData && r.treeData.findings > 0) out.push(el("span", {class: "tag warn"}, count(r.treeData.findings, "finding")));
    if (r.treeData && r.treeData.crash_written > 0) out.push(el("span", {class: "tag bad"}, "writes the crash region"));
    return out;
}
function requesterRow(r) {
    const tree = r.treeData, known = tree && !r.unknown;
    const outside = tree && tree.outsideRuns.length ? pages(sum(tree.outsideRuns)) + (tree.outside_cut ? " or more" : "") : "";
    return el("tr", {"data-requester": r.index},
        el("td", {class: "address"}, el("button", {type: "button", class: "link mono", title: "Show on the map",
            click: () => { setFilter(r); byId("map-section").scrollIntoView({block: "start"}); }}, r.label)),
        el("td", {}, r.what || r.class || "", el("span", {class: "sub"}, [r.what ? r.class : "", r.ids, r.driver ? `driver ${r.driver}` : ""].filter(Boolean).join(", "))),
        el("td", {class: "number"}, r.domain === undefined ? "" : String(r.domain)),
        el("td", {}, ...modeOf(r)),
        el("td", {class: "number"}, known ? pages(tree.write_pages) : r.unknown ? "unknown" : "0 B"),
        el("td", {class: "number"}, known ? pages(tree.read_pages) : r.unknown ? "unknown" : "0 B"),
        el("td", {class: "number"}, outside),
        el("td", {}, tree ? pageSizes(tree) : ""),
        el("td", {}, ...remarks(r)));
}
let order = {key: "index", up: true};
const keys = {
    index: (r) => r.index,
    write: (r) => r.treeData ? r.treeData.write_pages : -1,
    read: (r) => r.treeData ? r.treeData.read_pages : -1,
};
function fillRequesters() {
    const table = byId("requesters"), wanted = byId("find").value.trim().toLowerCase();
    const sortBy = (key) => () => {
        order = {key, up: order.key === key ? !order.up : key === "index"};
        fillRequesters();
    };
    const list = data.requesters.filter((r) => `${r.label} ${r.what} ${r.class} ${r.driver} ${r.ids}`.toLowerCase().includes(wanted));
    list.sort((a, b) => (keys[order.key](a) - keys[order.key](b)) * (order.up ? 1 : -1));
    table.replaceChildren();
    headRow(table, [{name: "Requester", sort: sortBy("index")}, {name: "What it is"}, {name: "Domain", number: true}, {name: "Mode"},
        {name: "Could write", number: true, sort: sortBy("write")}, {name: "Could read", number: true, sort: sortBy("read")},
        {name: "Outside memory", number: true}, {name: "Page sizes"}, {name: "Remarks"}]);
    table.append(el("tbody", {}, ...list.map(requesterRow)));
    byId("found").textContent = wanted ? `${list.length} of ${data.requesters.length}` : "";
    byId("requesters-note").textContent = data.requesters_left_out > 0
        ? `${count(data.requesters_left_out, "more requester")} left out of this page. All of them: cofferdam inspect DUMP devices`
        : data.requesters.length === 0 ? "No requester is known." : "";
    if (view.filter) setFilterRow();
}
function setFilterRow() {
    const row = document.querySelector(`#requesters tr[data-requester="${view.filter.index}"]`);
    if (row) row.classList.add("chosen");
}
function fillFindings() {
    const table = byId("findings");
    if (data.findings.length > 0) {
        headRow(table, [{name: "Severity"}, {name: "What"}, {name: "Unit"}, {name: "Requester"}, {name: "Address"}, {name: "Raw"}, {name: "IOVA"}, {name: "Repeats", number: true}]);
        const kinds = {error: "bad", warning: "warn", info: ""};
        table.append(el("tbody", {}, ...data.findings.map((f) => el("tr", {},
            el("td", {}, el("span", {class: `tag ${kinds[f.severity] || ""}`}, f.severity)), el("td", {}, f.text), el("td", {}, f.unit || ""),
            el("td", {class: "address"}, f.requester || ""), el("td", {class: "address"}, f.address), el("td", {class: "address"}, f.raw),
            el("td", {class: "address"}, f.iova), el("td", {class: "number"}, String(f.repeats))))));
    }
    const lost = data.findings_left_out > 0 ? `${count(data.findings_left_out, "more finding")} left out of this page.` : "";
    byId("findings-note").textContent = data.findings.length === 0 ? "None." : lost + (data.findings_lost ? " There were more than are kept." : "");
}
function fillUnits() {
    const table = byId("units");
    headRow(table, [{name: "Unit"}, {name: "Kind"}, {name: "Tables"}, {name: "Registers"}, {name: "Table"}, {name: "Translation"}, {name: "Known from"}]);
    table.append(el("tbody", {}, ...data.units.map((u) => el("tr", {},
        el("td", {}, u.name, el("span", {class: "sub"}, `segment ${u.segment}`)), el("td", {}, u.kind), el("td", {}, u.mode),
        el("td", {class: "address"}, u.registers, ...Object.entries(u.values).map(([name, value]) => el("span", {class: "sub"}, `${name.toUpperCase().replace("_", " ")} ${value}`))),
        el("td", {class: "address"}, u.root, el("span", {class: "sub"}, bytes(u.table_size))),
        el("td", {}, u.off ? el("span", {class: "tag bad"}, "off") : u.has_registers ? "on" : "not known; taken as on",
            u.readable || u.off ? "" : el("span", {class: "sub"}, el("span", {class: "tag warn"}, "table not read"))),
        el("td", {}, u.origin)))));
}

// ---- light and dark ---------------------------------------------------------------------------------------
const wantsDark = window.matchMedia("(prefers-color-scheme: dark)");
let theme = null; // chosen by hand
const applyTheme = () => { document.documentElement.dataset.theme = theme || (wantsDark.matches ? "dark" : "light"); };
wantsDark.addEventListener("change", applyTheme);
byId("theme").addEventListener("click", () => {
    theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
});

// ---- all of it --------------------------------------------------------------------------------------------
applyTheme();
fillFacts();
fillVerdicts();
fillFilter();
fillRequesters();
fillFindings();
fillUnits();
draw();
byId("find").addEventListener("input", fillRequesters);
byId("zoom-in").addEventListener("click", zoomIn);
byId("zoom-out").addEventListener("click", zoomOut);
byId("zoom-all").addEventListener("click", zoomAll);
const host = byId("map");
host.addEventListener("pointerdown", onDown);
host.addEventListener("pointermove", onMove);
host.addEventListener("pointerleave", hideTip);
window.addEventListener("pointerup", () => { dragging = false; });
host.addEventListener("dblclick", zoomIn);
host.addEventListener("keydown", onKey);
let width = host.clientWidth;
new ResizeObserver(() => {
    if (host.clientWidth === width) return;
    width = host.clientWidth;
    const keep = view.chosen ? [view.anchor, view.focus] : null;
    draw();
    if (keep) choose(...keep);
}).observe(host);
