#compdef postern
# SPDX-License-Identifier: MIT
# Completion of postern(1) for zsh: commands, methods, options, parameters and values come from the command itself.

_postern() {
    local table method word i at=0
    local -a names
    table=$(${words[1]} help --completion 2>/dev/null) || return 1
    for ((i = 2; i < CURRENT; i++)); do
        case ${words[i]} in
        -a | --account | -o | --output | --timeout | --socket) ((i++)) ;;
        -*) ;;
        *) method=${words[i]} at=$i; break ;;
        esac
    done
    word=${words[CURRENT]}
    if [[ $word == -* && $method != *.* ]]; then
        names=(${(f)"$(${words[1]} $method --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u)"})
        compadd -a names
    elif [[ -z $method || $method == help ]]; then
        names=(${(f)"$(cut -f1 <<<$table | sort -u)"})
        compadd -a names
    elif [[ $method == account && $at -eq $((CURRENT - 1)) ]]; then
        compadd add
    elif [[ $method != *.* ]]; then
        _files
    elif [[ $word == *=@* ]]; then
        compset -P '*=@'
        _files
    elif [[ $word == *=* ]]; then
        names=(${(s:,:)"$(awk -F'\t' -v m=$method -v p=${word%%=*} '$1 == m && $2 == p {print $4}' <<<$table)"})
        compset -P '*='
        compadd -a names
    else
        names=(${(f)"$(awk -F'\t' -v m=$method '$1 == m && $2 != "" {print $2 "="}' <<<$table)"})
        compadd -S '' -a names
    fi
}
_postern "$@"
