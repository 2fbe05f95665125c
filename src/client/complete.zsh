#compdef postern
# SPDX-License-Identifier: MIT
# Completion of postern(1) for zsh: methods, their parameters and values come from the command itself.

_postern() {
    local table method word i
    local -a names
    table=$(${words[1]} help --completion 2>/dev/null) || return 1
    for ((i = 2; i < CURRENT; i++)); do
        case ${words[i]} in
        -a | --account | -o | --output | --timeout | --socket) ((i++)) ;;
        -*) ;;
        *) method=${words[i]}; break ;;
        esac
    done
    word=${words[CURRENT]}
    if [[ -z $method || $method == help ]]; then
        names=(${(f)"$(cut -f1 <<<$table | sort -u)"})
        [[ -z $method ]] && names+=(send sendmail ls search read fetch account doctor watch wait status help)
        [[ -z $method && $word == -* ]] && names=(--account --json --output --timeout --socket --raw --quiet --help --version)
        compadd -a names
    elif [[ $method == send ]]; then
        if [[ $word == -* ]]; then
            names=(--to --cc --bcc --from --subject --attach --html --header --reply-to --in-reply-to --key --dry-run --account)
            compadd -a names
        else
            _files
        fi
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
