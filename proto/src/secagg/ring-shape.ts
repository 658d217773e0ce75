import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { VALUE_BOUND } from '../parameters/update-vector.js';
import { LIMBS } from './tail-limbs.js';

/*
 * The words of one masked update, each modulo 2^32:
 *   [ q_0 .. q_(P-1),  clipped,  1, 1, 1, 1,  three limbs for each element of the tail ]
 * q_i is the stochastically rounded w * d_i * S; clipped is 1 where the delta was longer than clipNorm; the ones are the
 * control words, whose sum is the number of sites whenever all masks cancel.
 */

/** Sums that should cancel and do not pass the control with a probability of 2^-128. */
export const CONTROL_WORDS = 4;

/** Words between parameters and tail. */
export const HEAD_WORDS = 1 + CONTROL_WORDS;

export const WORD_BYTES = Uint32Array.BYTES_PER_ELEMENT;

/** What the ring holds. */
export interface RingShape {
  /** P: elements of the delta. */
  readonly parameters: number;
  /** Elements of the tail of the update vector: `tailLength`. */
  readonly tail: number;
}

/** How values become words in a round. */
export interface RingScale {
  /** n: the most sites whose words are ever added, the cohort as planned. */
  readonly agents: number;
  /** Largest magnitude of a parameter: the clipping norm of the round. */
  readonly clipNorm: number;
  /** S: steps of one unit. */
  readonly scale: number;
  /** S * clipNorm: largest magnitude of a parameter in steps, before it is rounded. */
  readonly most: number;
}

/** Words of one masked update. */
export function ringLength({ parameters, tail }: RingShape): number {
  return parameters + HEAD_WORDS + LIMBS * tail;
}

/** Elements of the longest vector that any round has. */
export const MOST_ELEMENTS = ringLength({
  parameters: LIMITS.modelParameters,
  tail: LIMITS.tailElements,
});

/**
 * The scale of a round: S = floor(((2^31 - 1) / n - 1) / clipNorm). A rounded parameter is then at most (2^31 - 1) / n,
 * so that n of them never leave an int32. Throws SECAGG_IMPOSSIBLE where less than one step is left for a unit of the
 * norm that the deltas are clipped to.
 */
export function ringScale(agents: number, clipNorm: number): RingScale {
  if (!Number.isSafeInteger(agents) || agents < 1 || agents > LIMITS.updatesPerRound) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a sum has 1 to ${String(LIMITS.updatesPerRound)} sites, not ${String(agents)}`,
    );
  }
  if (!Number.isFinite(clipNorm) || clipNorm <= 0)
    throw new TributaryError('INVALID_ARGUMENT', 'clipNorm: a finite number above 0');
  const scale = Math.floor((mostWord(agents) - 1) / clipNorm);
  if (scale * clipNorm < FEWEST_STEPS || scale > Number.MAX_SAFE_INTEGER) {
    throw new TributaryError(
      'SECAGG_IMPOSSIBLE',
      `clipNorm ${String(clipNorm)} leaves no resolution for ${String(agents)} sites in 32 bits`,
      { hint: 'choose a clipNorm between 1e-6 and what updates of this model really have' },
    );
  }
  return { agents, clipNorm, scale, most: scale * clipNorm };
}

/** Steps from 0 to the clipping norm, at least: fewer would round whole deltas away. */
const FEWEST_STEPS = 1_024;

/** Largest magnitude of a rounded parameter of one site. */
export function mostWord(agents: number): number {
  return (2 ** 31 - 1) / agents;
}

/** Refuses a shape that no round has. */
export function requireRingShape({ parameters, tail }: RingShape): void {
  if (Number.isSafeInteger(parameters) && parameters >= 0 && parameters <= LIMITS.modelParameters) {
    if (Number.isSafeInteger(tail) && tail >= 1 && tail <= LIMITS.tailElements) return;
  }
  throw new TributaryError(
    'LIMIT_EXCEEDED',
    `a ring vector has at most ${String(LIMITS.modelParameters)} parameters and ${String(LIMITS.tailElements)} figures`,
  );
}

/** Tails hold values up to this magnitude. */
export const TAIL_BOUND = VALUE_BOUND;
