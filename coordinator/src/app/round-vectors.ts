import { ringLength, roundVectors, tailLength, type RingShape, type RoundVectors } from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';

/** Tail and bounds of the vectors of a round. */
export function vectorsOf({ document }: JobState, { cohort, kind }: RoundState): RoundVectors {
  return roundVectors(document.spec, [...cohort.keys()], kind);
}

/** Elements of the delta and of the tail: the same however they are encoded. */
export function shapeOf(job: JobState, round: RoundState): RingShape {
  const tail = tailLength(vectorsOf(job, round).tail);
  const parameters =
    round.secure === undefined
      ? round.vectorLength - tail
      : round.vectorLength - ringLength({ parameters: 0, tail });
  return { parameters, tail };
}
