# SPDX-License-Identifier: MIT
# Completion of postern(1) for fish: commands, methods, options, parameters and values come from the command itself.

function __postern_method
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case -a --account -o --output --timeout --socket
                set -e words[1]
                set -q words[1]; and set -e words[1]
            case '-*'
                set -e words[1]
            case '*'
                echo $words[1]
                return 0
        end
    end
    return 1
end

function __postern_parameters
    set -l method (__postern_method)
    postern help --completion 2>/dev/null | awk -F'\t' -v m=$method '
        $1 == m && $2 != "" { print $2 "=\t" $3; n = split($4, values, ","); for (i = 1; i <= n; i++) print $2 "=" values[i] }'
end

function __postern_options
    set -l method (__postern_method)
    postern $method --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u
end

function __postern_is_command
    set -l method (__postern_method)
    and not string match -q '*.*' -- $method
end

complete -c postern -f
complete -c postern -n 'not __postern_method >/dev/null' -a '(postern help --completion 2>/dev/null | cut -f1 | sort -u)'
complete -c postern -n 'test (__postern_method) = help' -a '(postern help --completion 2>/dev/null | cut -f1 | sort -u)'
complete -c postern -n 'test (__postern_method) = account' -a add
complete -c postern -n 'string match -q "*.*" -- (__postern_method)' -a '(__postern_parameters)'
complete -c postern -n 'not __postern_method >/dev/null; or __postern_is_command' -a '(__postern_options)'
complete -c postern -n __postern_is_command -F
