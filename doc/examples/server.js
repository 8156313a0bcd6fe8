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
const { env, generation } = restored();
const port = Number(env.PORT || process.env.PORT || 8080);
require('http').createServer((request, response) => {
  response.end(`${env.GREETING || 'nobody told me'} ${loaded.length} ${generation || 'original'}\n`);
}).listen(port, '127.0.0.1');
