# SPDX-License-Identifier: MIT
# Completion of cofferdam(1) for bash: commands, verbs of inspect, options, file names. Needs no package.

# Words of the command line up to the cursor, options and their arguments left out, into _cofferdam_plain.
_cofferdam_plain_words() {
    local i word
    _cofferdam_plain=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --vtd-root | --amd-devtab | --map | --color | --policy | --pool | --save-note | --depth | -o | -p | --output)
            # bash takes "=" for a word of its own.
            [ "${COMP_WORDS[i + 1]}" = "=" ] && i=$((i + 1))
            i=$((i + 1))
            ;;
        -*) [ "${COMP_WORDS[i + 1]}" = "=" ] && i=$((i + 2)) ;;
        *) _cofferdam_plain+=("$word") ;;
        esac
    done
}

_cofferdam_words() { # _cofferdam_words WORD... — those that begin with what stands there
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$*" -- "$current")
}

_cofferdam_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
}

_cofferdam_inspect() {
    local verbs='units devices walk ranges translate reach findings diff report'
    local options='--json --vtd-root --amd-devtab --map --no-note --no-kernel --scan --color= --help'
    local verb=${_cofferdam_plain[2]}
    case $verb in
    walk) options+=' --depth --all' ;;
    ranges) options+=' --debugfs --debugfs=6.1 --debugfs=6.12' ;;
    report) options+=' -o --output' ;;
    esac
    if [[ $current == -* ]]; then
        _cofferdam_words "$options"
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    elif [ ${#_cofferdam_plain[@]} -eq 1 ]; then
        _cofferdam_files
        # The help of a verb needs no dump.
        _cofferdam_words "$verbs"
    elif [ ${#_cofferdam_plain[@]} -eq 2 ]; then
        _cofferdam_words "$verbs"
    elif [ "$verb" = diff ]; then
        _cofferdam_files
    fi
}

_cofferdam() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} _cofferdam_plain
    COMPREPLY=()
    # "--color=al" comes as three words.
    if [ "$before" = "=" ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    elif [ "$current" = "=" ]; then
        current=
    fi
    case $before in
    --color) _cofferdam_words auto always never; return ;;
    --debugfs) _cofferdam_words 6.1 6.12; return ;;
    -p | --policy) _cofferdam_words freeze preserve scratch block; return ;;
    -o | --output | --save-note) _cofferdam_files; return ;;
    --depth) _cofferdam_words 1 2 3 4 5; return ;;
    --pool | --vtd-root | --amd-devtab | --map) return ;;
    esac
    _cofferdam_plain_words
    if [ ${#_cofferdam_plain[@]} -eq 0 ]; then
        _cofferdam_words wrap unwrap info acpi log inspect --help --version
        return
    fi
    case ${_cofferdam_plain[0]} in
    inspect) _cofferdam_inspect; return ;;
    wrap) [[ $current == -* ]] && _cofferdam_words -o --output -p --policy --pool --help ;;
    unwrap) [[ $current == -* ]] && _cofferdam_words -o --output --help ;;
    info | acpi) [[ $current == -* ]] && _cofferdam_words -j --json --help ;;
    log) [[ $current == -* ]] && _cofferdam_words -j --json --save-note --help ;;
    *) return ;;
    esac
    [[ $current == -* ]] || _cofferdam_files
}
complete -F _cofferdam cofferdam
