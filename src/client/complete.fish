# SPDX-License-Identifier: MIT
# Completion of postern(1) for fish: methods, their parameters and values come from the command itself.

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

complete -c postern -f
complete -c postern -n 'not __postern_method >/dev/null' -a '(postern help --completion 2>/dev/null | cut -f1 | sort -u) send sendmail ls search read fetch account doctor watch wait status help'
complete -c postern -n '__postern_method | string match -q help' -a '(postern help --completion 2>/dev/null | cut -f1 | sort -u)'
complete -c postern -n 'string match -q "*.*" (__postern_method)' -a '(__postern_parameters)'
complete -c postern -s a -l account -x -d 'the account'
complete -c postern -s j -l json -d 'JSON, also on a terminal'
complete -c postern -s o -l output -r -F -d 'a file for the content of the answer'
complete -c postern -l timeout -x -d 'for the whole call'
complete -c postern -l socket -r -F -d 'the socket of the gateway'
complete -c postern -s q -l quiet -d 'no words where all went well'
complete -c postern -n '__postern_method | string match -q send' -s A -l attach -r -F -d 'a file to send along'
complete -c postern -n '__postern_method | string match -q send' -s s -l subject -x -d 'the subject'
complete -c postern -n '__postern_method | string match -q send' -s f -l from -x -d 'the sender'
complete -c postern -n '__postern_method | string match -q send' -s n -l dry-run -d 'print the mail only'
