import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { repositoryRoot } from '../../support/daemon.js';

const RATE_HZ = 360;
const BYTES = 2;
/** Of a message: a tenth of a second. */
export const MESSAGE_MS = 100;
const MESSAGE_BYTES = (RATE_HZ * BYTES * MESSAGE_MS) / 1_000;

/** What a bedside monitor sends at once. */
export interface EcgMessage {
  /** Time of the first sample. */
  readonly startMs: number;
  readonly payload: Uint8Array;
}

/** Five minutes of record 208 of the MIT-BIH arrhythmia database, as if they had begun at `startMs`. */
export async function ecgMessages(startMs: number): Promise<readonly EcgMessage[]> {
  const packed = await readFile(join(repositoryRoot, 'test/data/ecg_mitdb208_360hz.u16le.gz'));
  const bytes = new Uint8Array(await promisify(gunzip)(packed));
  return Array.from({ length: bytes.length / MESSAGE_BYTES }, (_, index) => ({
    startMs: startMs + index * MESSAGE_MS,
    payload: bytes.slice(index * MESSAGE_BYTES, (index + 1) * MESSAGE_BYTES),
  }));
}
