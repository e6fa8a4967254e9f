#!/bin/bash
# SPDX-License-Identifier: MIT
# How files look: licence line, format, length, clean shell scripts.
cd "$(dirname "$0")/../.." || exit 2
. tests/lib/tap.sh

# Data and prose carry no licence line; everything that is code does.
tap_ok "every source has a licence line" \
    "$(repo_files | grep -vE '^(tests/data/|tests/fuzz/seeds/)|\.(md|bin|json|txt|patch|dat|asl|dsl)$|^(LICENSE|VERSION|\.gitignore)$' |
        while read -r file; do
            [ -f "$file" ] || continue
            head -n 2 "$file" | grep -aq 'SPDX-License-Identifier: MIT' || echo "$file"
        done)"
mapfile -t code < <(repo_files | grep -E '\.[ch]$')
tap_check "clang-format agrees with every C file (${#code[@]})" \
    clang-format --dry-run -Werror --ferror-limit=3 "${code[@]}"
tap_ok "no source has more than 500 lines" \
    "$(repo_files | grep -E '^(engine|stage|tool|include|dumper)/.*\.(c|h|S|js|css|html)$' | xargs -r wc -l |
        awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines" }')"
mapfile -t scripts < <(repo_files | while read -r file; do
    [ -f "$file" ] && head -n 1 "$file" | grep -aqE '^#!.*\b(ba|da|)sh\b' && echo "$file"
done)
tap_check "shellcheck finds no fault in any script (${#scripts[@]})" \
    shellcheck --severity=warning --exclude=SC2187 --external-sources "${scripts[@]}"
tap_ok "no file has white space at a line's end" \
    "$(repo_files | grep -E '\.(c|h|S|sh|py|md)$|^(Makefile|check|demo|tests/run|lab/run)$' | xargs -r grep -lE '[ 	]+$')"
tap_done
