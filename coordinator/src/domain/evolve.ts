import type { LedgerEntry } from '@tributary/proto';

import type { FederationState } from './federation-state.js';

/** The state after an entry. Never throws for an entry that `decide` made. */
export function evolve(state: FederationState, entry: LedgerEntry): FederationState {
  return { ...state, seq: entry.seq + 1 };
}
