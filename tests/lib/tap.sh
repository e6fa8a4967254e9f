# SPDX-License-Identifier: MIT
# TAP from shell scripts: source this, call tap_ok / tap_check / tap_skip, end with tap_done.
tap_number=0
tap_failed=0

# tap_ok NAME [DETAILS]: a pass when DETAILS is empty, else a failure that shows them.
tap_ok() {
    tap_number=$((tap_number + 1))
    if [ -z "${2:-}" ]; then
        echo "ok $tap_number - $1"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_number - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

# tap_check NAME COMMAND...: a pass when the command succeeds; its output is shown when it does not.
tap_check() {
    local tap_name=$1 tap_output
    shift
    if tap_output=$("$@" 2>&1); then
        tap_ok "$tap_name"
    else
        tap_ok "$tap_name" "${tap_output:-no output}"
    fi
}

# tap_skip NAME WHY
tap_skip() {
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1 # SKIP $2"
}

# Prints the plan and ends the script.
tap_done() {
    echo "1..$tap_number"
    [ "$tap_failed" -eq 0 ]
    exit
}

# Every file of the repository, also those not yet committed, one a line. Without git (an archive, or a folder of somebody
# else's), all but what was built.
repo_files() {
    git ls-files -co --exclude-standard 2>/dev/null ||
        find . \( -path ./build -o -path ./.git -o -name __pycache__ \) -prune -o -type f -print | sed 's@^\./@@'
}
