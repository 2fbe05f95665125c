// SPDX-License-Identifier: MIT
// A reader of messages that is mailparser's: on standard input the length of a message, a line feed and its bytes; on standard
// output what it finds, one JSON object a line (see readers.py).
'use strict';
const { domainToASCII } = require('url');
const { simpleParser } = require('mailparser');

const OPTIONS = { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true, keepCidLinks: true };

// It gives domains in letters.
function written(address) {
    const at = address.lastIndexOf('@');
    return address.slice(0, at + 1) + (domainToASCII(address.slice(at + 1)) || address.slice(at + 1));
}

function addresses(found) {
    const list = Array.isArray(found) ? found : found ? [found] : [];
    const plain = (entries) => entries.map((entry) => (entry.group ? [entry.name, plain(entry.group)] : [entry.name || '', written(entry.address || '')]));
    return [].concat(...list.map((one) => plain(one.value)));
}

function ids(value) {
    const list = Array.isArray(value) ? value : value ? [value] : [];
    return [].concat(...list.map((text) => (text.match(/<([^<>]*)>/g) || []).map((id) => id.slice(1, -1))));
}

async function read(raw) {
    const mail = await simpleParser(raw, OPTIONS);
    return {
        from: addresses(mail.from), sender: addresses(mail.headers.get('sender')), to: addresses(mail.to), cc: addresses(mail.cc),
        reply_to: addresses(mail.replyTo), subject: mail.subject || '', date: mail.date ? Math.floor(mail.date / 1000) : null,
        message_id: ids(mail.messageId)[0] || '', in_reply_to: ids(mail.inReplyTo), references: ids(mail.references),
        text: mail.text || '', html: mail.html || '',
        attachments: mail.attachments.map((one) => ({
            filename: one.filename || '', disposition: one.contentDisposition || '', content_id: one.cid || '', type: one.contentType,
            bytes: one.content.toString('base64'),
        })),
    };
}

async function main() {
    let waiting = Buffer.alloc(0);
    for await (const piece of process.stdin) {
        waiting = Buffer.concat([waiting, piece]);
        for (;;) {
            const end = waiting.indexOf('\n'), length = end < 0 ? Infinity : Number(waiting.subarray(0, end));
            if (waiting.length < end + 1 + length)
                break;
            const raw = waiting.subarray(end + 1, end + 1 + length);
            waiting = waiting.subarray(end + 1 + length);
            process.stdout.write(JSON.stringify(await read(Buffer.from(raw))) + '\n');
        }
    }
}

main();
