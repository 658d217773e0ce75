import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';

/** Below the ports that the kernel gives to whoever connects or listens without naming one. */
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** A port of this machine that nobody listened on a moment ago. Drawn, so that tests beside this one rarely get the same. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await canListen(port)) return port;
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (listens) await new Promise((resolve) => server.close(resolve));
  return listens;
}

/** True where somebody listens. */
export function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket.destroy().destroyed));
    socket.once('error', () => resolve(false));
  });
}
