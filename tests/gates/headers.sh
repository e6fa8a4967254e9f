#!/bin/bash
# SPDX-License-Identifier: MIT
# Every header compiles alone, with both compilers: it includes what it uses.
cd "$(dirname "$0")/../.." || exit 2
. tests/lib/tap.sh

warnings="-std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla"

# compile COMPILER HEADER
compile() {
    local where
    case $2 in
    include/* | engine/*) where="-ffreestanding -Iinclude -Iengine" ;;
    stage/*) where="-ffreestanding -Iinclude -Iengine -Istage" ;;
    *) where="-D_GNU_SOURCE -Iinclude -Iengine -Itests -Itool -Istage" ;;
    esac
    # Included from a file, since the compilers warn about a main file that is a header.
    # shellcheck disable=SC2086
    echo "#include \"$PWD/$2\"" | $1 $warnings $where -fsyntax-only -x c -
}

for compiler in gcc clang; do
    wrong=
    count=0
    while read -r header; do
        count=$((count + 1))
        if ! output=$(compile "$compiler" "$header" 2>&1); then
            wrong+="$header:"$'\n'"$output"$'\n'
        fi
    done < <(repo_files | grep '\.h$')
    [ "$count" -eq 0 ] && wrong="no headers found"
    tap_ok "$compiler: every header compiles alone ($count)" "$wrong"
done
tap_done
