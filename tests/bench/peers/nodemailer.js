// SPDX-License-Identifier: MIT
// nodemailer's pool; {"nodelay": true} forces TCP_NODELAY from outside.
'use strict';
const net = require('net');

const task = JSON.parse(require('fs').readFileSync(0));

if (task.nodelay) {
    const connect = net.Socket.prototype.connect;
    net.Socket.prototype.connect = function (...args) {
        this.setNoDelay(true);
        return connect.apply(this, args);
    };
}

const nodemailer = require('nodemailer');

const transport = nodemailer.createTransport({
    pool: true, maxConnections: task.connections, maxMessages: Infinity,
    host: task.host, port: task.port, secure: true,
    auth: { user: task.user, pass: task.password },
    tls: { ca: require('fs').readFileSync(task.ca_file) },
});

async function send(count) {
    const all = [];
    for (let i = 0; i < count; i++)
        all.push(transport.sendMail({ envelope: { from: task.from, to: [task.to] }, raw: task.message }));
    await Promise.all(all);
}

(async () => {
    await send(task.connections * 3);
    const began = process.hrtime.bigint(), cpu = process.cpuUsage();
    await send(task.count);
    const wall = Number(process.hrtime.bigint() - began) / 1e9, used = process.cpuUsage(cpu);
    transport.close();
    console.log(JSON.stringify({
        count: task.count, wall, cpu: (used.user + used.system) / 1e6, rss: process.resourceUsage().maxRSS * 1024,
    }));
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
