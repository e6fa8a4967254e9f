#!/bin/bash
# SPDX-License-Identifier: MIT
# The built objects: the engine needs nothing but four functions and keeps no state; the stage is small and needs
# no relocation.
cd "$(dirname "$0")/../.." || exit 2
. tests/lib/tap.sh

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

# engine BUILD KIND: checks the engine as built under BUILD/KIND/engine.
engine() {
    local objects=() source wanted=
    while read -r source; do
        source=$1/$2/${source%.c}.o
        if [ -f "$source" ]; then objects+=("$source"); else wanted+="$source is not built"$'\n'; fi
    done < <(find engine -name '*.c')
    tap_ok "$1/$2: every engine source is built (${#objects[@]})" "$wanted"
    [ ${#objects[@]} -eq 0 ] && return
    if ! ld -r -o "$scratch/engine.o" "${objects[@]}" 2>"$scratch/err"; then
        tap_ok "$1/$2: the engine links" "$(cat "$scratch/err")"
        return
    fi
    # _GLOBAL_OFFSET_TABLE_ is the linker's own, no function.
    tap_ok "$1/$2: the engine needs memcpy, memset, memmove, memcmp at most" \
        "$(nm -u "$scratch/engine.o" | awk '{print $2}' |
            grep -vxE 'memcpy|memset|memmove|memcmp|_GLOBAL_OFFSET_TABLE_')"
    # Constants that hold pointers are .data.rel.ro (d) when position independent: not writable after loading.
    tap_ok "$1/$2: the engine has no writable data" \
        "$(for object in "${objects[@]}"; do
            objdump -h "$object" | awk -v object="$object" '
                $2 ~ /^\.(data|bss|tdata|tbss|ldata|lbss)/ && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ {
                    print object ": " $2 " of 0x" $3 " bytes" }'
            nm "$object" | awk -v object="$object" '$2 ~ /^[BCbc]$/ { print object ": " $3 }'
        done)"
    tap_ok "$1/$2: public names of the engine are prefixed" \
        "$(nm -g --defined-only "$scratch/engine.o" | awk '{print $3}' |
            # The prefix is the folder: those of docs/design.md, and what acpi/ calls its tables by.
            grep -vE '^(dam|takeover|pt|vtd|vtdss|amdvi|gart|calgary|acpi|dmar|ivrs|mcfg|rsdp|pci|iommu)_')"
}
engine build host
engine build stage
engine build/clang stage

# stage BUILD
stage() {
    local elf=$1/stage/stage.elf bin=$1/stage/stage.bin size
    if ! [ -f "$elf" ] || ! [ -f "$bin" ]; then
        tap_ok "$1: the stage is built" "no $elf or $bin"
        return
    fi
    size=$(stat -c %s "$bin")
    tap_ok "$1: the stage image is at most 128 KiB ($size bytes)" \
        "$([ "$size" -gt 131072 ] && echo "$size bytes")"
    tap_ok "$1: the stage needs no relocation" \
        "$(readelf -SW "$elf" | sed 's/^ *\[ *[0-9]*\] *//' |
            awk '$1 ~ /^\.rel/ && $5 !~ /^0+$/ { print $1 " of 0x" $5 " bytes" }')"
    tap_ok "$1: the stage has no undefined symbol" "$(nm -u "$elf")"
    tap_ok "$1: the stage uses no vector registers" \
        "$(objdump -d --no-show-raw-insn "$elf" | grep -m 5 -E '%[xyz]mm[0-9]')"
}
stage build
stage build/clang
tap_done
