import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ConnectProxy } from '../support/connect-proxy.js';
import { DelayLine } from '../support/delay-line.js';
import { LocalFederation } from '../support/federation.js';
import { median, rounded, timed, type BenchCase } from './bench-case.js';
import { parametersOf, TWO_ROWS, wideJob } from './wide-job.js';

const AGENT_SCRIPT = join(import.meta.dirname, 'agent-main.js');
const PROXY_USER = { name: 'bench', password: 'bench' };

/**
 * One update over a link with a round-trip time: the built agent behind a proxy that delays every byte, from the update
 * in its outbox to the acceptance that the ledger records. The floor is the same bytes over plain TCP and the same
 * link, one way, and one byte back.
 */
export const upload: BenchCase = async ({ megabytes, rttMs, runs, note }) => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
  const proxy = await ConnectProxy.start(PROXY_USER.name, PROXY_USER.password, rttMs / 2);
  const job = wideJob('wide', megabytes, runs + 1, 1);
  const federation = await LocalFederation.start(folder, 'bench');
  try {
    const passwordFile = join(folder, 'proxy-password');
    await writeFile(passwordFile, PROXY_USER.password, { mode: 0o600 });
    const config = {
      proxy: { url: `http://127.0.0.1:${String(proxy.port)}`, username: PROXY_USER.name, passwordFile },
    };
    await federation.addSite({
      name: 'site-0',
      csv: TWO_ROWS,
      dataset: 'rows',
      script: AGENT_SCRIPT,
      config,
    });
    await federation.apply(job);
    await federation.cliText(
      'wait',
      `fj/${job.metadata.name}`,
      '--for',
      'condition=Complete',
      '--timeout',
      '30m',
    );
    const times = uploadTimes((await federation.agents.get('site-0')?.log()) ?? '').slice(1);
    const rssMiB = await federation.peakMemory();
    const floors: number[] = [];
    for (let run = 0; run < runs; run++) floors.push(await linkFloor(parametersOf(job) * 4, rttMs / 2));
    note(
      `uploads: ${times.join(', ')} ms; floors: ${floors.map((floor) => floor.toFixed(0)).join(', ')} ms; ${String(proxy.tunnels)} tunnels`,
    );
    const ms = median(times);
    const floorMs = median(floors);
    return {
      ms: rounded(ms),
      floorMs: rounded(floorMs),
      ratio: rounded(ms / floorMs),
      megabytes,
      rttMs,
      uploads: times.length,
      rssMiB,
    };
  } finally {
    await federation.stop();
    await proxy.stop();
    await rm(folder, { recursive: true, force: true });
  }
};

/** From 'update held in the outbox' to 'update accepted', by the agent's own log. */
function uploadTimes(log: string): number[] {
  const lines = log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { readonly msg: string; readonly time: string });
  const at = (message: string): number[] =>
    lines.filter(({ msg }) => msg === message).map(({ time }) => Date.parse(time));
  const accepted = at('update accepted');
  return at('update held in the outbox').map((held, index) => (accepted[index] ?? Number.NaN) - held);
}

async function linkFloor(size: number, delayMs: number): Promise<number> {
  const server = createServer((socket) => {
    let received = 0;
    socket.pipe(new DelayLine(delayMs)).on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received >= size) setTimeout(() => socket.end('x'), delayMs);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  const ms = await timed(async () => {
    socket.write(Buffer.alloc(size, 1));
    await once(socket, 'data');
  });
  socket.destroy();
  server.close();
  return ms;
}
