import { MemoryBlobStore } from '@tributary/coordinator/internal/adapters/memory/blob-store.js';
import { MemoryCheckpointStore } from '@tributary/coordinator/internal/adapters/memory/checkpoint-store.js';
import { MemoryKeyVault } from '@tributary/coordinator/internal/adapters/memory/key-vault.js';
import { MemoryLedgerStore } from '@tributary/coordinator/internal/adapters/memory/ledger-store.js';
import { MemorySpoolStore } from '@tributary/coordinator/internal/adapters/memory/spool-store.js';

import { blobStoreSuite } from './blob-store.js';
import { checkpointStoreSuite } from './checkpoint-store.js';
import { inMemory } from './harness.js';
import { keyVaultSuite } from './key-vault.js';
import { ledgerStoreSuite } from './ledger-store.js';
import { spoolStoreSuite } from './spool-store.js';

ledgerStoreSuite({ name: 'memory', factory: inMemory(() => new MemoryLedgerStore()) });
blobStoreSuite({ name: 'memory', factory: inMemory(() => new MemoryBlobStore()) });
spoolStoreSuite({ name: 'memory', factory: inMemory(() => new MemorySpoolStore()) });
keyVaultSuite({ name: 'memory', factory: inMemory(() => new MemoryKeyVault()) });
checkpointStoreSuite({ name: 'memory', factory: inMemory(() => new MemoryCheckpointStore()) });
