import { sha256 } from '../signing/hash.js';
import { shuffled } from './neighbourhoods.js';

/**
 * Up to `most` choices of `count` items: all of them in order where there are no more than that, else the first items,
 * and then such as follow from a fixed shuffling. 0 < count <= items.length.
 */
export function* choices<T>(items: readonly T[], count: number, most: number): Generator<readonly T[]> {
  if (numberOfChoices(items.length, count) <= most) {
    yield* allChoices(items, count);
    return;
  }
  yield items.slice(0, count);
  for (let index = 1; index < most; index += 1)
    yield shuffled(items, sha256(Uint8Array.of(index >> 8, index & 0xff))).slice(0, count);
}

function* allChoices<T>(items: readonly T[], count: number): Generator<readonly T[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (const [index, item] of items.entries()) {
    if (items.length - index < count) return;
    for (const rest of allChoices(items.slice(index + 1), count - 1)) yield [item, ...rest];
  }
}

/** Binomial coefficient. */
function numberOfChoices(items: number, count: number): number {
  let number = 1;
  for (let index = 1; index <= count; index += 1) number = (number * (items - count + index)) / index;
  return Math.round(number);
}
