#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Sends a mail to oneself and lists the mailbox, with nothing but the socket:  mail.js ACCOUNT ADDRESS
'use strict';
const net = require('net');
const readline = require('readline');

class Gateway {
    constructor(path = process.env.POSTERN_SOCKET || '/run/postern/postern.sock') {
        this.socket = net.connect(path);
        this.waiting = new Map();
        this.number = 0;
        readline.createInterface({ input: this.socket }).on('line', (line) => {
            const answer = JSON.parse(line);
            const call = this.waiting.get(answer.id);
            this.waiting.delete(answer.id);
            answer.error ? call.reject(new Error(answer.error.message)) : call.resolve(answer.result);
        });
    }

    call(method, params = {}) {
        const id = ++this.number;
        this.socket.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }) + '\n');
        return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    }

    close() {
        this.socket.end();
    }
}

async function main([account, address]) {
    const gateway = new Gateway();
    const sent = await gateway.call('smtp.send', {
        account,
        message: { from: address, to: address, subject: 'From Node.js', text: 'No password here.\n' },
    });
    console.log('sent as', sent.message_id);
    const list = await gateway.call('imap.fetch', { account, uids: '1:*', items: ['ENVELOPE'] });
    for (const message of list.messages) {
        console.log(message.uid, message.envelope.subject);
    }
    gateway.close();
}

main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exit(75);
});
