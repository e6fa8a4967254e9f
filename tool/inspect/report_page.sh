#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes one page of report.html, report.css and the parts of its script: report_page.sh FOLDER >PAGE. The page's
# own policy allows that style and that script by their SHA-256, and nothing else.
set -eu
folder=$1
joined=$(mktemp)
trap 'rm -f "$joined"' EXIT
{
    echo '"use strict";'
    echo '(() => {'
    for part in data map details lists; do # each uses those before it
        cat "$folder/report_$part.js"
    done
    echo '})();'
} >"$joined"
# An element's text begins behind its start tag: with the line break there.
hash_of() {
    { echo; cat "$1"; } | sha256sum | cut -c 1-64 | tr a-f A-F | basenc --base16 -d | base64
}
script=$(hash_of "$joined")
style=$(hash_of "$folder/report.css")
sed -e "s|@SCRIPT_HASH@|sha256-$script|" -e "s|@STYLE_HASH@|sha256-$style|" \
    -e "/^@SCRIPT@\$/{
r $joined
d
}" -e "/^@STYLE@\$/{
r $folder/report.css
d
}" "$folder/report.html"
