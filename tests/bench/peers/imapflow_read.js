// SPDX-License-Identifier: MIT
// imapflow: a list, whole messages, single fetches, all asked for at once, or searches one after the other.
'use strict';
const task = JSON.parse(require('fs').readFileSync(0));
const { ImapFlow } = require('imapflow');

(async () => {
    const client = new ImapFlow({
        host: 'localhost', port: task.port, secure: true, logger: false, disableCompression: true,
        auth: { user: task.user, pass: task.password },
        tls: { ca: require('fs').readFileSync(task.ca), servername: 'localhost' },
    });
    await client.connect();
    await client.mailboxOpen('INBOX', { readOnly: true });
    const began = process.hrtime.bigint(), cpu = process.cpuUsage();
    if (task.work === 'list' || task.work === 'fetch') {
        const query = task.work === 'fetch' ? { uid: true, source: true }
            : { uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true };
        let found = 0;
        for await (const message of client.fetch(`1:${task.count}`, query, { uid: true }))
            found += task.work === 'fetch' ? message.source.length > 0 : message.size > 0;
        if (found !== task.count)
            throw new Error(`${found} came`);
    } else if (task.work === 'single') {
        const all = [];
        for (let uid = 1; uid <= task.count; uid++)
            all.push(client.fetchOne(String(uid), { source: true }, { uid: true }));
        for (const message of await Promise.all(all))
            if (!message.source.length)
                throw new Error('nothing came');
    } else {
        for (let i = 0; i < task.count; i++)
            if (!(await client.search({ body: task.words }, { uid: true })).length)
                throw new Error('nothing was found');
    }
    const wall = Number(process.hrtime.bigint() - began) / 1e9, used = process.cpuUsage(cpu);
    await client.logout();
    console.log(JSON.stringify({
        count: task.count, wall, cpu: (used.user + used.system) / 1e6,
        rss: process.resourceUsage().maxRSS * 1024,
    }));
})().catch((error) => { console.error(error); process.exit(1); });
