// SPDX-License-Identifier: MIT
// What mailparser and postal-mime find in the messages whose paths come on stdin, one row of JSON a line:
// {"mailparser": answer, "postal-mime": answer}, in the form of differ.py. The modules are looked for in NODE_MODULES.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

const require = createRequire(join(process.env.NODE_MODULES, 'x.js'));
const { MailParser } = require('mailparser');
const postal = require('postal-mime');
const PostalMime = postal.default || postal;

function sums(bytes) {
    const lf = Buffer.from(bytes).toString('latin1').replace(/\r\n?/g, '\n').replace(/\n+$/, '');
    return { size: bytes.length, lf: createHash('sha256').update(Buffer.from(lf, 'latin1')).digest('hex') };
}

function flat(list) {
    return (list || []).flatMap(a => (a.group ? flat(a.group) : [[a.name || '', a.address || '']]));
}

function shape(node, type, children) {
    return children.length || type.startsWith('multipart/') ? [type, ...children] : type;
}

function mailparser(path) {
    return new Promise((resolve, reject) => {
        const parser = new MailParser({ skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true, skipTextLinks: true });
        const row = { attachments: [] };
        parser.on('error', reject);
        parser.on('headers', () => undefined);
        parser.on('data', data => {
            if (data.type === 'attachment') {
                const chunks = [];
                data.content.on('data', c => chunks.push(c));
                data.content.on('end', () => {
                    row.attachments.push({
                        ctype: data.contentType || '', filename: data.filename || '', disposition: data.contentDisposition || '',
                        cid: data.cid || '', ...sums(Buffer.concat(chunks))
                    });
                    data.release();
                });
            } else {
                row.text = data.text ?? null;
                row.html = data.html || null;
            }
        });
        parser.on('end', () => {
            const h = parser.headers || new Map();
            const of = name => flat([].concat(h.get(name) || []).flatMap(v => v.value || []));
            row.subject = [].concat(h.get('subject') || '')[0];
            row.from = of('from')[0] || null;
            row.to = of('to');
            row.cc = of('cc');
            row.reply_to = of('reply-to');
            const date = h.get('date');
            row.date = date instanceof Date && !isNaN(date) ? Math.floor(date / 1000) : null;
            row.message_id = String(h.get('message-id') || '').replace(/^<|>$/g, '');
            row.header_names = {};
            for (const line of parser.headerLines || [])
                row.header_names[line.key] = (row.header_names[line.key] || 0) + 1;
            const walk = n => shape(n, String(n.contentType || 'text/plain').toLowerCase(), n.children.map(walk));
            row.structure = parser.tree ? walk(parser.tree) : null;
            resolve(row);
        });
        createReadStream(path).pipe(parser);
    });
}

async function postalMime(path) {
    const parser = new PostalMime({ forceRfc822Attachments: true });
    const mail = await parser.parse(readFileSync(path));
    const row = { text: mail.text ?? null, html: mail.html ?? null };
    row.subject = mail.subject || '';
    row.from = flat(mail.from ? [mail.from] : [])[0] || null;
    row.to = flat(mail.to);
    row.cc = flat(mail.cc);
    row.reply_to = flat(mail.replyTo);
    const header = mail.headers.find(h => h.key === 'date');
    const date = header ? Date.parse(header.value) : NaN;
    row.date = isNaN(date) ? null : Math.floor(date / 1000);
    row.message_id = (mail.messageId || '').replace(/^<|>$/g, '');
    row.header_names = {};
    for (const h of mail.headers)
        row.header_names[h.key] = (row.header_names[h.key] || 0) + 1;
    const leaves = [];
    const walk = n => {
        if (!n.contentType.multipart)
            leaves.push(n);
        return shape(n, n.contentType.parsed.value, n.childNodes.map(walk));
    };
    row.structure = walk(parser.root);
    // A plain text made of HTML is no part of the message.
    const has = type => leaves.some(n => n.contentType.parsed.value === type && parser.isInlineTextNode(n));
    if (!has('text/plain'))
        row.text = null;
    if (!has('text/html'))
        row.html = null;
    row.attachments = mail.attachments.map(a => ({
        ctype: a.mimeType || '', filename: a.filename || '', disposition: a.disposition || '',
        cid: (a.contentId || '').replace(/^<|>$/g, ''), ...sums(Buffer.from(a.content))
    }));
    return row;
}

let giveUp = () => undefined;
process.on('uncaughtException', e => giveUp(e));

async function guarded(parse, path) {
    try {
        let timer;
        const late = new Promise((_, no) => {
            giveUp = no;
            timer = setTimeout(() => no(new Error('hangs')), 5000);
        });
        return await Promise.race([parse(path), late]).finally(() => clearTimeout(timer));
    } catch (e) {
        return null;
    }
}

for await (const path of createInterface({ input: process.stdin })) {
    const row = { mailparser: await guarded(mailparser, path), 'postal-mime': await guarded(postalMime, path) };
    process.stdout.write(JSON.stringify(row) + '\n');
}
