// server.js PORT: counts requests, keeps a table, and asks a worker thread for each answer.
const http = require('http');
const { Worker, isMainThread, parentPort } = require('worker_threads');

if (!isMainThread) {
    parentPort.on('message', (n) => parentPort.postMessage(n * 2));
} else {
    const table = new Map();
    for (let i = 0; i < 100000; i++)
        table.set('key ' + i, i);
    const worker = new Worker(__filename);
    const waiting = [];
    worker.on('message', (twice) => waiting.shift()(twice));
    let requests = 0;
    http.createServer((request, response) => {
        const number = ++requests;
        waiting.push((twice) => response.end(`${number} ${table.get('key 4711')} ${twice}\n`));
        worker.postMessage(number);
    }).listen(Number(process.argv[2]), '127.0.0.1');
}
