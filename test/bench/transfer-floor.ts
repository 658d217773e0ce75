import { once } from 'node:events';
import { open, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';

import { timed } from './bench-case.js';

const CHUNK = Buffer.alloc(1 << 20, 1);

/**
 * Milliseconds to move a round's bytes over plain loopback TCP: `size` bytes down to each of `peers`, `size` bytes up
 * from each into a file that is synced. Nothing is encrypted, signed, added up or recorded.
 */
export async function transferFloor(folder: string, peers: number, size: number): Promise<number> {
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let served = 0;
  const spooled: Promise<void>[] = [];
  server.on('connection', (socket) => {
    spooled.push(
      send(socket, size).then(() => spool(socket, join(folder, `floor-${String(served++)}`), size)),
    );
  });
  const ms = await timed(async () => {
    await Promise.all(Array.from({ length: peers }, () => peer(port, size)));
    await Promise.all(spooled);
  });
  server.close();
  return ms;
}

async function peer(port: number, size: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  let received = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    received += chunk.length;
    if (received >= size) break;
  }
  await send(socket, size);
  socket.end();
  await once(socket, 'close');
}

async function send(socket: Socket, size: number): Promise<void> {
  for (let left = size; left > 0; left -= CHUNK.length) {
    if (!socket.write(CHUNK.subarray(0, Math.min(left, CHUNK.length)))) await once(socket, 'drain');
  }
}

async function spool(socket: Socket, path: string, size: number): Promise<void> {
  const file = await open(path, 'w');
  let received = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received += chunk.length;
    await file.write(chunk);
    if (received >= size) break;
  }
  await file.sync();
  await file.close();
  socket.destroy();
  await rm(path);
}
