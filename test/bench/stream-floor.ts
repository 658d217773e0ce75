import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { loadStream, type StreamFigures } from './stream-load.js';

const ECHO = join(import.meta.dirname, 'stream-echo-main.js');
const FIELDS = 14;

/** A record of 256 bytes of JSON: its sequence number and numbers for a model. */
export function jsonRecord(sequence: number): Uint8Array {
  const columns = Array.from(
    { length: FIELDS },
    (_, index) => `"f${String(index)}":${cell(sequence, index)}`,
  );
  const text = `{"sequence":${String(sequence)},${columns.join(',')}`;
  return Buffer.from(`${text},"pad":"${'x'.repeat(Math.max(0, 256 - text.length - 10))}"}`);
}

const cell = (sequence: number, index: number): string => ((sequence * (index + 1)) % 997).toString();

/** An echo in a process of its own: the floor of the stream benchmark. */
export async function echoFloor(
  port: number,
  protocol: 'V3' | 'V5',
  load: { readonly messages: number; readonly perSecond?: number },
): Promise<StreamFigures> {
  const topics = { records: 'bench/echo/in', results: 'bench/echo/out' };
  const args = [ECHO, String(port), protocol, topics.records, topics.results];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    return await loadStream({ port, protocol, ...topics, ...load, record: jsonRecord });
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
}
