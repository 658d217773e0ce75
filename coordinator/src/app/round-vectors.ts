import { roundVectors, type RoundVectors } from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';

/** Tail and bounds of the vectors of a round. */
export function vectorsOf({ document }: JobState, { cohort, kind }: RoundState): RoundVectors {
  return roundVectors(document.spec, [...cohort.keys()], kind);
}
