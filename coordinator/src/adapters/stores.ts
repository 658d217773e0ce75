import { diskError, makeDirectory } from '@tributary/proto/node';
import { FileBlobStore } from './blobs/file-blob-store.js';
import { SealedCheckpointStore } from './checkpoints/sealed-checkpoint-store.js';
import type { DataPaths } from './data-directory.js';
import { FileSpoolStore } from './spool/file-spool-store.js';
import { LevelLedgerStore, type LedgerStoreOptions } from './store/level-ledger-store.js';
import { FileKeyVault } from './vault/file-key-vault.js';

/** The durable stores of one data directory. */
export interface Stores {
  readonly ledger: LevelLedgerStore;
  readonly blobs: FileBlobStore;
  readonly spools: FileSpoolStore;
  readonly vault: FileKeyVault;
  readonly checkpoints: SealedCheckpointStore;
  close(): Promise<void>;
}

export interface StoresOptions extends LedgerStoreOptions {
  /** 32 bytes. */
  readonly sealingKey: Uint8Array;
}

/**
 * Opens or creates the stores of a directory. The lock of the ledger's database is the lock of the whole directory, so
 * the ledger opens first and closes last: the others sweep leftovers and must be alone. Rejects with STORE_LOCKED,
 * STORE_CORRUPT, STORE_FULL, FORMAT_UNSUPPORTED.
 */
export async function openStores(
  paths: DataPaths,
  { sealingKey, ...options }: StoresOptions,
): Promise<Stores> {
  const ledger = await LevelLedgerStore.open(paths.ledger, options);
  try {
    const [blobs, spools, vault, checkpoints] = await Promise.all([
      FileBlobStore.open(paths.blobs),
      FileSpoolStore.open(paths.spool),
      FileKeyVault.open(paths.keys, sealingKey),
      SealedCheckpointStore.open(paths.checkpoints, sealingKey),
      makeDirectory(paths.run).catch((error: unknown) => {
        throw diskError(error, paths.run);
      }),
    ]);
    return { ledger, blobs, spools, vault, checkpoints, close: () => ledger.close() };
  } catch (error) {
    await ledger.close();
    throw error;
  }
}
