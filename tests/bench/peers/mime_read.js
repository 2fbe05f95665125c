// SPDX-License-Identifier: MIT
// mailparser, postal-mime, and nodemailer's composer: node mime_read.js PACKAGE SECONDS WORK,WORK… FILE…, with what
// mime_work.h prints. All contents are decoded while they parse: there is only the whole.
'use strict';
const fs = require('fs');

const [name, seconds, works, ...paths] = process.argv.slice(2);
const files = paths.map((path) => fs.readFileSync(path));

async function kinds() {
    if (name === 'mailparser') {
        const { simpleParser } = require('mailparser');
        // What it makes of a text beyond decoding it is left out.
        const options = { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true };
        return {
            whole: async (raw) => {
                const mail = await simpleParser(raw, options);
                return (mail.text || '').length + (mail.html || '').length +
                    mail.attachments.reduce((sum, attachment) => sum + attachment.content.length, 0);
            },
        };
    }
    if (name === 'postal-mime') {
        // Its own folder has a module of the new kind; import() takes both.
        const PostalMime = (await import(require.resolve('postal-mime'))).default;
        const parse = PostalMime.parse || PostalMime.default.parse;
        return {
            whole: async (raw) => {
                const mail = await parse.call(PostalMime.default || PostalMime, raw);
                return (mail.text || '').length + (mail.html || '').length +
                    mail.attachments.reduce((sum, attachment) => sum + (attachment.content.byteLength || attachment.content.length), 0);
            },
        };
    }
    const MailComposer = require('nodemailer/lib/mail-composer');
    return {
        build: (raw) => new Promise((resolve, reject) => {
            new MailComposer({
                from: 'Zoë Müller <zoe@example.com>', to: 'Ann <ann@example.com>', subject: 'Grüße aus Köln', messageId: '<1@example.com>',
                text: 'Grüße, und eine Zeile dazu.\n', html: '<p>Grüße, und eine Zeile dazu.</p>\n',
                attachments: [{ filename: 'datei ä.bin', content: raw, contentType: 'application/octet-stream' }],
            }).compile().build((error, message) => (error ? reject(error) : resolve(message.length)));
        }),
    };
}

function cpu() {
    const used = process.cpuUsage();
    return (used.user + used.system) / 1e6;
}

(async () => {
    const known = await kinds();
    for (const work of works.split(',')) {
        if (!known[work])
            continue;
        const start = Date.now();
        let best = Infinity, rounds = 0, made = 0;
        while (rounds === 0 || Date.now() - start < seconds * 1000) {
            const began = cpu();
            made = 0;
            for (const file of files) {
                try {
                    made += await known[work](file);
                } catch (error) {
                    made += 1;
                }
            }
            best = Math.min(best, cpu() - began);
            rounds++;
        }
        console.log(JSON.stringify({
            work, best, rounds, count: files.length, bytes: files.reduce((sum, file) => sum + file.length, 0), made,
            rss: process.resourceUsage().maxRSS * 1024,
        }));
    }
})();
