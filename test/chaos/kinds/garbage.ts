import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

import type { Addresses } from '../../support/federation.js';
import { operatorContext } from '../../support/channels.js';
import type { SeededRandom } from '../../support/seeded-random.js';
import { mutateBytes } from '../../fuzz/mutations.js';
import { SITES } from '../template.js';
import type { World } from '../world.js';
import type { FaultKind } from './kind.js';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** The beginning of a TLS 1.2 handshake record. */
const CLIENT_HELLO = Buffer.from('16030102000100', 'hex');
const REQUEST = Buffer.from('POST /status?x=%00 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n');

type Port = Exclude<keyof Addresses, 'socket' | 'tunnel'>;
const PORTS: readonly Port[] = ['fleet', 'enrol', 'admin', 'health', 'metrics'];

/** HTTP/2 frames whose headers make sense and whose content seldom does. */
function frames(random: SeededRandom): Buffer {
  return Buffer.concat(
    Array.from({ length: 1 + random.below(20) }, () => {
      const payload = random.bytes(random.below(200));
      const header = Buffer.alloc(9);
      header.writeUIntBE(random.chance(0.9) ? payload.length : random.below(2 ** 24), 0, 3);
      header.writeUInt8(random.below(11), 3);
      header.writeUInt8(random.below(256), 4);
      header.writeUInt32BE(random.below(8), 5);
      return Buffer.concat([header, payload]);
    }),
  );
}

function nonsense(random: SeededRandom): Buffer {
  const base = random.pick([PREFACE, CLIENT_HELLO, REQUEST, random.bytes(100)]);
  return random.chance(0.5) ? Buffer.concat([base, frames(random)]) : mutateBytes(random, base);
}

/** Bytes that left for each listener, by its name. */
type Sent = Map<string, number>;

/** Writes until the other side has had enough, or a moment has passed. Gives the bytes that left. */
async function pester(socket: Socket, bytes: readonly Buffer[], random: SeededRandom): Promise<number> {
  let connected = false;
  socket
    .on('error', () => undefined)
    .on('data', () => undefined)
    .on('connect', () => (connected = true));
  for (const piece of bytes) {
    if (socket.destroyed) break;
    socket.write(piece);
    await sleep(random.below(30));
  }
  await sleep(random.below(200));
  // What waits for a connection has not left.
  const left = connected ? socket.bytesWritten - socket.writableLength : 0;
  socket.destroy();
  return left;
}

async function pesterPort(world: World, port: Port, random: SeededRandom): Promise<number> {
  const addresses = await world.federation.addresses();
  const at = Number(addresses[port].split(':').at(-1));
  if (random.chance(0.5))
    return pester(connect(at, '127.0.0.1'), [nonsense(random), nonsense(random)], random);
  const { ca, certificate, key } = await operatorContext(world.federation);
  const known = random.chance(0.7);
  const socket = connectTls({
    host: '127.0.0.1',
    port: at,
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
    ...(known && { ca, cert: certificate, key }),
  });
  return pester(socket, [PREFACE, frames(random), frames(random)], random);
}

/** Bytes that make no sense, to everything that listens, while a job runs. */
export const garbage: FaultKind = {
  name: 'garbage',
  about: 'random and mutated bytes to every port of the coordinator and to the sockets of agents',
  variants: () => ['ports'],
  run: async ({ random, open }) => {
    const world = await open({ rounds: 4, epochs: 30 });
    await world.begin();
    const sent: Sent = new Map();
    const count = (name: string, bytes: number): unknown => sent.set(name, (sent.get(name) ?? 0) + bytes);
    let over = false;
    const ended = world.ended().finally(() => (over = true));
    while (!over) {
      await Promise.all([
        ...PORTS.map(async (port) => count(port, await pesterPort(world, port, random))),
        ...SITES.map(async (site) => {
          const socket = connect(join(world.federation.siteFolder(site), 'data/run/agent.sock'));
          count(site, await pester(socket, [nonsense(random)], random));
        }),
      ]);
    }
    await ended;
    return [...PORTS, ...SITES].map((name) => ({ what: `bytes to ${name}`, count: sent.get(name) ?? 0 }));
  },
};
