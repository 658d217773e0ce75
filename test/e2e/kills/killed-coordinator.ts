import { decodeEntry, type LedgerEntry } from '@tributary/proto';
import { LevelLedgerStore } from '@tributary/coordinator/internal/adapters/store/level-ledger-store.js';
import { runCoordinator } from '@tributary/coordinator';

import { around, dieAt, type Kill } from './kill-plan.js';

/** The coordinator, which dies where its plan says so: around the ledger entries that make a stage. */
around(LevelLedgerStore.prototype, 'append', (original) => {
  return async function (this: LevelLedgerStore, expectedSize, entries) {
    const stages = entries.flatMap((bytes) => stageOf(decodeEntry(bytes)) ?? []);
    for (const { told, ...stage } of stages) if (!told) dieAt({ ...stage, point: 'before' });
    await original.call(this, expectedSize, entries);
    for (const { told, ...stage } of stages) dieAt({ ...stage, point: told ? 'told' : 'durable' });
  };
});

/** What a member said in a stage, or that the stage is closed: what follows from it may be told. */
function stageOf({
  type,
  body,
}: LedgerEntry): (Omit<Kill, 'point'> & { readonly told: boolean }) | undefined {
  switch (type) {
    case 'stage.message':
      return { round: body.round, stage: body.stage, told: false };
    case 'update.accepted':
      return { round: body.round, stage: 'mask', told: false };
    case 'stage.closed':
      return { round: body.round, stage: body.stage, told: true };
    default:
      return undefined;
  }
}

process.exitCode = await runCoordinator(process.argv.slice(2));
