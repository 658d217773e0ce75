import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { FIRST_MS } from './stream-model.js';
import { loadStream, type StreamFigures, type StreamLoad } from './stream-load.js';
import { jsonRecord } from './stream-records.js';

const ECHO = join(import.meta.dirname, 'stream-echo-main.js');
const RECORDS = 'bench/echo/in';
const RESULTS = 'bench/echo/out';

/** An echo in a process of its own: the floor of the stream benchmark. */
export async function echoFloor(
  load: Pick<StreamLoad, 'port' | 'protocol' | 'messages'>,
): Promise<StreamFigures> {
  const args = [ECHO, String(load.port), load.protocol, RECORDS, RESULTS];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    return await loadStream({
      ...load,
      results: RESULTS,
      record: (sequence) => ({ topic: RECORDS, payload: jsonRecord(sequence) }),
      sequenceOf: ({ payload }) =>
        (JSON.parse(Buffer.from(payload).toString()) as { readonly t: number }).t - FIRST_MS,
    });
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
}
