import { copyFile, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';

import { EnvelopeOpener, TributaryError, type EnvelopeHeader } from '@tributary/proto';
import { bytesToWords } from '@tributary/proto/internal/secagg/ring-words.js';
import { SpoolFile } from '@tributary/coordinator/internal/adapters/spool/spool-file.js';

import type { KeptFile } from '../../support/kept-files.js';

/** A masked update as far as the coordinator had it on its disk. */
export interface SpooledUpdate {
  readonly header: EnvelopeHeader;
  readonly words: Uint32Array;
}

/** Every update that was ever spooled, opened with the keys of the rounds. */
export async function spooledUpdates(
  kept: readonly KeptFile[],
  secrets: readonly Uint8Array[],
): Promise<readonly SpooledUpdate[]> {
  const updates: SpooledUpdate[] = [];
  for (const { folder, name } of kept.filter((file) => file.name.endsWith('.spool'))) {
    // Opening one takes away what is not whole.
    const copy = join(await mkdtemp(join(folder, 'copy-')), name);
    await copyFile(join(folder, name), copy);
    const spool = await SpoolFile.open(copy, name.slice(0, -'.spool'.length));
    if (spool === undefined) continue;
    const opener = openerOf(spool.header.header, secrets);
    const parts: Uint8Array[] = [];
    for await (const chunk of spool.chunks()) parts.push(opener.open(parts.length, chunk.slice()).slice());
    await spool.close();
    const bytes = Buffer.concat(parts);
    updates.push({ header: opener.header, words: bytesToWords(bytes, new Uint32Array(bytes.length / 4)) });
  }
  return updates;
}

export function openerOf(header: Uint8Array, secrets: readonly Uint8Array[]): EnvelopeOpener {
  for (const secret of secrets) {
    try {
      return new EnvelopeOpener(header, secret);
    } catch (error) {
      if (!(error instanceof TributaryError) || error.code !== 'UPDATE_CORRUPT') throw error;
    }
  }
  throw new Error('no key of a round opens an update that was sent');
}
