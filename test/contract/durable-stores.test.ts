import { FileBlobStore } from '@tributary/coordinator/internal/adapters/blobs/file-blob-store.js';
import { SealedCheckpointStore } from '@tributary/coordinator/internal/adapters/checkpoints/sealed-checkpoint-store.js';
import { FileSpoolStore } from '@tributary/coordinator/internal/adapters/spool/file-spool-store.js';
import { LevelLedgerStore } from '@tributary/coordinator/internal/adapters/store/level-ledger-store.js';
import { FileKeyVault } from '@tributary/coordinator/internal/adapters/vault/file-key-vault.js';

import { patternBytes } from '../support/bytes.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { blobStoreSuite } from './blob-store.js';
import { checkpointStoreSuite } from './checkpoint-store.js';
import type { Harness } from './harness.js';
import { keyVaultSuite } from './key-vault.js';
import { ledgerStoreSuite } from './ledger-store.js';
import { spoolStoreSuite } from './spool-store.js';

/** A harness for a store in a directory: every `open` is what a new process does. */
function inDirectory<T>(open: (path: string) => Promise<T>): () => Promise<Harness<T>> {
  return async () => {
    const directory = await temporaryDirectory();
    return { open: () => open(directory.path), dispose: directory.remove };
  };
}

const sealingKey = patternBytes(32, 99);

ledgerStoreSuite({ name: 'level', factory: inDirectory((path) => LevelLedgerStore.open(path)) });
blobStoreSuite({ name: 'files', factory: inDirectory((path) => FileBlobStore.open(path)) });
spoolStoreSuite({ name: 'files', factory: inDirectory((path) => FileSpoolStore.open(path)) });
keyVaultSuite({ name: 'sealed files', factory: inDirectory((path) => FileKeyVault.open(path, sealingKey)) });
checkpointStoreSuite({
  name: 'sealed files',
  factory: inDirectory((path) => SealedCheckpointStore.open(path, sealingKey)),
});
