// A server that is dumped before it has done anything outside, and learns its port at each restore:
//
//     LD_PRELOAD=libsnapctl.so.0 snapctl dump --until=effect=-identity,-clock,-random node server.js
//     snapctl restore --setenv PORT=8080 --setenv GREETING=hello image/
'use strict';
const modules = ['assert', 'crypto', 'dns', 'http', 'http2', 'https', 'net', 'readline', 'repl', 'stream', 'tls', 'url',
  'util', 'v8', 'vm', 'worker_threads', 'zlib'];
const loaded = modules.map((name) => require(name)); // what takes its time
const restored = require('./restored.js');

require('fs').mkdirSync('started', { recursive: true }); // the first effect: the dump is made before it
require('http').createServer((request, response) => {
  const { env, generation } = restored();
  response.end(`${env.GREETING || 'nobody told me'} ${loaded.length} ${generation || 'original'}\n`);
}).listen(Number(restored().env.PORT || process.env.PORT || 8080), '127.0.0.1', () => {
  // As a service of systemd: dumped with --until=ready, it keeps the port that it has got by then.
  if (process.env.NOTIFY_SOCKET) require('child_process').execFileSync('systemd-notify', ['--ready']);
});
