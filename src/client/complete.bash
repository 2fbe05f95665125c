# SPDX-License-Identifier: MIT
# Completion of postern(1) for bash: methods, their parameters and values come from the command itself.

_postern()
{
    local word=${COMP_WORDS[COMP_CWORD]} line=${COMP_LINE:0:COMP_POINT} method="" i table names
    local -a words=()
    # Without the splitting at ":" and "=" that bash does.
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]}
    table=$("${words[0]}" help --completion 2>/dev/null) || return
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
        -a | --account | -o | --output | --timeout | --socket) ((i++)) ;;
        -*) ;;
        *) method=${words[i]}; break ;;
        esac
    done
    if [[ $method == "" || $method == help ]]; then
        names=$(cut -f1 <<<"$table" | sort -u)
        [[ $method == "" ]] && names+=" send sendmail ls search read fetch account doctor watch wait status help --account --json --output --timeout --socket --raw --quiet --help --version"
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word")
    elif [[ $method == send ]]; then
        if [[ $word == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--to --cc --bcc --from --subject --attach --html --header --reply-to --in-reply-to --key --dry-run --account" -- "$word")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
        fi
    elif [[ $method == ls || $method == search ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--mailbox --number --page --unseen --threads --mailboxes --account" -- "$word")
    elif [[ $method == watch || $method == wait ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--kind --cursor --state --exec --account --json" -- "$word")
    elif [[ $method == read || $method == fetch ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--mailbox --dir --save --headers --keep-unread --account" -- "$word")
    elif [[ $word == *=@* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${word#*=@}")
    elif [[ $word == *=* ]]; then
        names=$(awk -F'\t' -v m="$method" -v p="${word%%=*}" '$1 == m && $2 == p {gsub(",", " ", $4); print $4}' <<<"$table")
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "${word#*=}")
    else
        names=$(awk -F'\t' -v m="$method" '$1 == m && $2 != "" {print $2 "="}' <<<"$table")
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word")
        compopt -o nospace
    fi
}
complete -F _postern postern
