#!/bin/bash
# SPDX-License-Identifier: MIT
# Who may use whom: base <- acpi, pci <- pgtable <- iommu/* <- takeover <- stage, tool, dumper. Nothing uses
# tests, lab or bench. Only iommu/* writes device registers, only pci/ writes configuration space and I/O ports. The formats of
# pgtable/ know no registers, what switches hardware knows no page-table bits, and what asks iommu.h knows no kind.
cd "$(dirname "$0")/../.." || exit 2
. tests/lib/tap.sh

sources() { # sources FOLDER...
    repo_files | grep -E "^($(IFS='|'; echo "$*"))/.*\.(c|h|S)$"
}

# The folders (regular expressions over paths from the top) that a file may include from.
allowed_for() {
    case $1 in
    include/cofferdam/*) echo 'include/cofferdam' ;;
    engine/base/*) echo 'include/cofferdam|engine/base' ;;
    engine/acpi/*) echo 'include/cofferdam|engine/(base|acpi)' ;;
    engine/pci/*) echo 'include/cofferdam|engine/(base|pci)' ;;
    engine/pgtable/*) echo 'include/cofferdam|engine/(base|pgtable)' ;;
    engine/iommu/*/*) echo "include/cofferdam|engine/(base|acpi|pci|pgtable)|engine/iommu|$(dirname "$1")" ;;
    engine/iommu/kinds.c) echo 'engine/iommu|engine/iommu/[a-z]+' ;;
    engine/iommu/*) echo 'include/cofferdam|engine/(base|acpi|pci|pgtable|iommu)' ;;
    engine/takeover/*) echo 'include/cofferdam|engine/(base|acpi|pci|pgtable|iommu|takeover)' ;;
    stage/pure/*) echo 'include/cofferdam|engine/[a-z/]+|stage|stage/pure' ;;
    stage/*) echo 'include/cofferdam|engine/[a-z/]+|stage|stage/pure' ;;
    tool/*) echo 'include/cofferdam|engine/[a-z/]+|tool|tool/inspect|stage/pure' ;;
    dumper/*) echo 'include/cofferdam|engine/[a-z/]+|dumper' ;;
    esac
}

# Where an included name is found, as the compiler would look it up; empty for a system header.
find_included() { # find_included FROM NAME
    local from=$1 name=$2 folder
    for folder in "$(dirname "$from")" include engine stage tool tests .; do
        if [ -f "$folder/$name" ]; then
            realpath --relative-to=. "$folder/$name"
            return
        fi
    done
}

wrong='' system='' count=0
while IFS=: read -r from name quoted; do
    count=$((count + 1))
    found=$(find_included "$from" "$name")
    if [ -z "$found" ]; then
        case $from in
        include/* | engine/* | stage/*)
            # Freestanding code gets the headers that every C11 implementation has, and <string.h> for the four
            # functions that the compiler itself may call; the gate over the objects sees what else is used.
            case $name in
            assert.h | limits.h | stdalign.h | stdarg.h | stdbool.h | stddef.h | stdint.h | stdnoreturn.h | string.h) ;;
            *) system+="$from includes <$name>"$'\n' ;;
            esac
            ;;
        esac
        [ "$quoted" = quoted ] && wrong+="$from includes \"$name\", which does not exist"$'\n'
        continue
    fi
    folder=$(dirname "$found")
    if ! [[ $folder =~ ^($(allowed_for "$from"))$ ]]; then
        wrong+="$from includes $found"$'\n'
    fi
done < <(for file in $(sources include engine stage tool dumper); do
    sed -nE "s@^[[:space:]]*#[[:space:]]*include[[:space:]]*<([^>]+)>.*@$file:\1:system@p
             s@^[[:space:]]*#[[:space:]]*include[[:space:]]*\"([^\"]+)\".*@$file:\1:quoted@p" "$file"
done)
[ "$count" -eq 0 ] && wrong="no includes found"
tap_ok "includes go down the chain only ($count looked at)" "$wrong"
tap_ok "freestanding code includes no hosted header" "$system"

# Pattern $2 may appear in the C files of $3.. only when the path matches $1.
only_in() {
    local pattern=$2 where=$1
    shift 2
    sources "$@" | grep -vE "$where" | xargs -r grep -nE "$pattern"
}
tap_ok "only engine/iommu/* writes device registers, only engine/pci configuration space" \
    "$(only_in '^(engine/iommu/|engine/pci/cfg\.c$|include/cofferdam/ops\.h)' 'dam_mmio_write[[:space:]]*\(|(->|\.)mmio_write[[:space:]]*\(' include engine stage tool)"
tap_ok "only engine/pci writes I/O ports through the seam" \
    "$(only_in '^(engine/pci/|include/cofferdam/ops\.h)' 'dam_port_write[[:space:]]*\(|(->|\.)port_write[[:space:]]*\(' include engine stage tool)"
tap_ok "only include/cofferdam/ops.h calls the ops members" \
    "$(only_in '^include/cofferdam/ops\.h$' 'ops(->|\.)(mem_read|mmio_read|mmio_write|port_read|port_write|cache_flush|barrier|clock_us)[[:space:]]*\(' include engine stage)"
tap_ok "only engine/base/arena.c moves the arena's marks" \
    "$(only_in '^engine/base/arena\.c$' '(arena|pool)(->|\.)(low|high)[[:space:]]*(=[^=]|[-+|&]=|\+\+|--)' engine)"
tap_ok "the page-table code knows no registers" \
    "$(sources engine/pgtable | xargs -r grep -nE 'dam_mmio_|dam_port_|_regs?\.h|GCMD|GSTS')"
tap_ok "the switching code includes no format of pgtable" \
    "$(sources engine/iommu engine/takeover | xargs -r grep -nE '#include.*(vtdss|vtdfs|amdv1|amdv2)[a-z_]*\.h')"
# Kinds are named by the list of them, by their own folders, and where inspect says what their entries and the dead
# kernel's structures mean.
tap_ok "no kind of IOMMU is named where any kind is meant" \
    "$(only_in '^(engine/iommu/(kinds\.c$|vtd/|amdvi/)|tool/inspect/(([a-z]+_)?(vtd|amdvi)(_[a-z]+)?\.[ch]$|kernel_[a-z]+\.c$|debugfs\.c$))' '\b(vtd|amdvi)_[a-z]|\b(VTD|AMDVI)_[A-Z]|iommu/(vtd|amdvi)/' engine/iommu engine/takeover stage tool)"
tap_ok "the engine keeps to its own names" \
    "$(sources engine | xargs -r grep -nE '\b(malloc|calloc|realloc|free|printf|fprintf|abort|exit)[[:space:]]*\(')"
tap_done
