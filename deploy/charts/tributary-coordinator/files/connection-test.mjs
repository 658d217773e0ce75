// What `helm test` runs: every listener of the Service speaks TLS, and metrics are served.
import { connect } from 'node:tls';

const [host, metrics, ...ports] = process.argv.slice(1);
const dial = (port) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    socket.setTimeout(10_000, () => socket.destroy(new Error('timed out')));
    socket.once('secureConnect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', (error) => reject(new Error(`${host}:${port}: ${error.message}`)));
  });

for (const port of ports) {
  await dial(port);
  console.log(`${host}:${port} speaks TLS`);
}
const response = await fetch(metrics, { signal: AbortSignal.timeout(10_000) });
const text = await response.text();
if (!response.ok || !/^tributary_/m.test(text)) throw new Error(`${metrics}: no metrics of ours`);
console.log(`${metrics} serves ${text.split('\n').length} lines`);
