import { openStores } from '@tributary/coordinator/internal/adapters/stores.js';
import { dataPaths } from '@tributary/coordinator/internal/adapters/data-directory.js';
import { LIMITS } from '@tributary/proto';

import { patternBytes } from './bytes.js';

/*
 * A process that is there to be killed: writes without end into the stores of a directory and prints the number of each
 * write once it is acknowledged. Arguments: directory, what to write.
 */

export const WRITER_KEY = patternBytes(32, 7);
export const entryOf = (seq: number): Uint8Array => patternBytes(200 + (seq % 1_000), seq + 1);
export const blobOf = (index: number): Uint8Array => patternBytes(100_000 + index, index + 1);
export const secretOf = (index: number): Uint8Array => patternBytes(64, index + 1);
export const chunkOf = (index: number): Uint8Array => patternBytes(LIMITS.minChunkBytes + 16, index + 1);
export const checkpointOf = (index: number): Uint8Array[] =>
  [0, 1, 2].map((part) => patternBytes(300_000, 3 * index + part + 1));
export const WRITER_UPLOAD = `upl-${'a'.repeat(32)}`;

export type WriterKind = 'ledger' | 'blobs' | 'vault' | 'spool' | 'checkpoints';

async function write(root: string, kind: WriterKind): Promise<void> {
  const stores = await openStores(dataPaths(root), { sealingKey: WRITER_KEY });
  const spool =
    (await stores.spools.open(WRITER_UPLOAD)) ??
    (await stores.spools.create(
      {
        uploadId: WRITER_UPLOAD,
        agentId: 'agt-1',
        site: 'north',
        header: patternBytes(100),
        signature: patternBytes(64),
      },
      LIMITS.minChunkBytes,
    ));
  const writers: Record<WriterKind, (index: number) => Promise<unknown>> = {
    // Batches of 1 to 4 entries: a batch is there as a whole or not at all.
    ledger: () => {
      const size = stores.ledger.size();
      return stores.ledger.append(
        size,
        Array.from({ length: 1 + (size % 4) }, (_, at) => entryOf(size + at)),
      );
    },
    blobs: (index) => stores.blobs.put([blobOf(index)]),
    vault: (index) => stores.vault.put('round', secretOf(index)),
    spool: async () => {
      await spool.append(chunkOf(spool.chunkCount()));
      await spool.sync();
    },
    checkpoints: (index) => stores.checkpoints.put('round', checkpointOf(index)),
  };
  for (let index = 0; ; index += 1) {
    await writers[kind](index);
    const acknowledged =
      kind === 'ledger' ? stores.ledger.size() : kind === 'spool' ? spool.chunkCount() : index + 1;
    process.stdout.write(`${String(acknowledged)}\n`);
  }
}

const [, script, root, kind] = process.argv;
if (script === import.meta.filename && root !== undefined && kind !== undefined)
  await write(root, kind as WriterKind);
