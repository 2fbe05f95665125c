#!/bin/sh
# SPDX-License-Identifier: MIT
# Sends a mail to oneself and lists the mailbox, with nothing but the socket:  mail.sh ACCOUNT ADDRESS
# socat carries the lines, jq reads the answers.
set -eu
account=$1 address=$2

call() {
    answer=$(jq -cn --arg method "$1" --argjson params "$2" '{jsonrpc: "2.0", id: 1, $method, $params}' |
        socat -t 60 - "UNIX-CONNECT:${POSTERN_SOCKET:-/run/postern/postern.sock}")
    echo "$answer" | jq -e .result >/dev/null || { echo "$answer" | jq -r .error.message >&2; exit 75; }
    echo "$answer" | jq -c .result
}

message=$(jq -cn --arg account "$account" --arg address "$address" \
    '{$account, message: {from: $address, to: $address, subject: "From the shell", text: "No password here.\n"}}')
call smtp.send "$message" | jq -r '"sent as \(.message_id)"'
call imap.fetch "$(jq -cn --arg account "$account" '{$account, uids: "1:*", items: ["ENVELOPE"]}')" |
    jq -r '.messages[] | "\(.uid) \(.envelope.subject)"'
