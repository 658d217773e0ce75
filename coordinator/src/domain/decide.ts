import { TributaryError, type NewEntry } from '@tributary/proto';

import type { Command } from './command.js';
import type { FederationState } from './federation-state.js';

/**
 * What a command means for a state: the entries to record, none where it was carried out before. Throws a
 * TributaryError where it is refused.
 */
export function decide(_state: FederationState, command: Command): readonly NewEntry[] {
  throw new TributaryError('INTERNAL', command.kind);
}
