# SPDX-License-Identifier: MIT
# Completion of postern(1) for bash: commands, methods, options, parameters and values come from the command itself.

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
    if [[ $word == -* && ( $method == "" || $method != *.* ) ]]; then
        names=$("${words[0]}" ${method:+"$method"} --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word")
    elif [[ $method == "" || $method == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(cut -f1 <<<"$table" | sort -u)" -- "$word")
    elif [[ $method == account && $i -eq $((${#words[@]} - 2)) ]]; then
        mapfile -t COMPREPLY < <(compgen -W "add" -- "$word")
    elif [[ $method != *.* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    elif [[ $word == *=@* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${word#*=@}")
    elif [[ $word == *=* ]]; then
        names=$(awk -F'\t' -v m="$method" -v p="${word%%=*}" '$1 == m && $2 == p {gsub(",", " ", $4); print $4}' <<<"$table")
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "${word#*=}")
    else
        names=$(awk -F'\t' -v m="$method" '$1 == m && $2 != "" {print $2 "="}' <<<"$table")
        mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word")
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _postern postern
