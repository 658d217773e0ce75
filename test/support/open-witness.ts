import { LedgerAlarms } from '@tributary/edge-agent/internal/app/ledger-alarms.js';
import { Witness } from '@tributary/edge-agent/internal/app/witness.js';
import type { DecisionNote } from '@tributary/edge-agent/internal/domain/decision.js';
import type { PinnedLog } from '@tributary/edge-agent/internal/domain/proof.js';
import type { StateStore } from '@tributary/edge-agent/internal/ports.js';

/** A witness of a log over a state, whose alarms go into `notes` instead of the log of a site. */
export async function openWitness(
  store: StateStore,
  { logId, logKey }: PinnedLog,
  notes: DecisionNote[] = [],
): Promise<Witness> {
  const note = (line: DecisionNote): Promise<void> => {
    notes.push(line);
    return Promise.resolve();
  };
  const alarms = await LedgerAlarms.open({ store, clock: { now: () => Date.UTC(2026, 0, 1) }, note });
  return Witness.open(store, { logId, logKey }, alarms);
}
