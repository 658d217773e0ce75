import { VALUE_BOUND } from '../parameters/update-vector.js';

/*
 * Weights and counts span nine orders of magnitude (one row of a cap of 10^9), variances are smaller still: one word would
 * lose them. An element x of the tail becomes the integer rint(x * 2^44), the same as in the plain accumulator at
 * clipNorm <= 64, cut into three limbs of 18 bits. 4,096 limbs add up to less than 2^30, so that each sum of limbs is
 * exact, and so is the sum of the integers: a mean differs from the exact one by less than 2^-45 / mean weight.
 */

/** Words of one element. */
export const LIMBS = 3;

const LIMB_BITS = 18;
const BASE = 2 ** LIMB_BITS;

/** Steps of one unit, in bits. */
export const TAIL_SCALE_BITS = 44;

const UNIT = 2 ** TAIL_SCALE_BITS;
/** Rounds to even below 2^51, as the accumulator does: 1.5 * 2^52. */
const MAGIC = 6755399441055744;
/** Largest magnitude of the third limb: VALUE_BOUND in steps, without the two limbs below it. */
const MOST_TOP = (VALUE_BOUND * UNIT) / BASE ** 2;

/** The limbs of one element, |value| <= VALUE_BOUND: two from 0 to 2^18 - 1, and one with the sign. */
export function limbsOf(value: number): readonly [low: number, middle: number, high: number] {
  const steps = value * UNIT + MAGIC - MAGIC;
  const high = Math.floor(steps / BASE ** 2);
  const rest = steps - high * BASE ** 2;
  const middle = Math.floor(rest / BASE);
  return [rest - middle * BASE, middle, high];
}

/**
 * The sum of elements from the sums of their limbs as words, rounded once to float64; undefined where `sites` sites
 * cannot have such limbs.
 */
export function sumOfLimbs(low: number, middle: number, high: number, sites: number): number | undefined {
  const top = high | 0;
  const most = sites * (BASE - 1);
  if (low > most || middle > most || Math.abs(top) > sites * MOST_TOP) return undefined;
  const steps = BigInt(top) * BigInt(BASE) ** 2n + BigInt(middle) * BigInt(BASE) + BigInt(low);
  return Number(steps) * 2 ** -TAIL_SCALE_BITS;
}
