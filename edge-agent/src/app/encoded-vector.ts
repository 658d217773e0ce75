import {
  deltaFactor,
  float32ToBytes,
  RingEncoder,
  ringLength,
  scaleDelta,
  TributaryError,
  updateTail,
} from '@tributary/proto';

import { numbersOf, shapeOf, type OutboxItem } from './outbox.js';
import type { Masking } from './secure/secure-rounds.js';

/**
 * The vector of an update as it travels: the delta, clipped and weighted in place, and the tail; one piece in memory at a
 * time. With `masking`, as masked words of the ring.
 */
export async function* encodedVector(
  item: OutboxItem,
  delta: AsyncIterable<Float32Array>,
  masking: Masking | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const numbers = numbersOf(item);
  const factor = deltaFactor(item.norm, numbers.trainExamples, item);
  const tail = updateTail(numbers, shapeOf(item), item.weightCap);
  const encoder = masking && ringEncoder(item, masking, tail.length);
  for await (const values of delta) {
    scaleDelta(values, factor);
    yield encoder === undefined ? float32ToBytes(values) : encoder.push(values);
  }
  yield encoder === undefined ? float32ToBytes(tail) : encoder.finish(tail, item.norm > item.clipNorm);
}

function ringEncoder({ vectorLength }: OutboxItem, masking: Masking, tail: number): RingEncoder {
  const { scale, rounding, masks } = masking;
  if (tail !== masking.tail)
    throw new TributaryError('INTERNAL', 'a tail of another length than the round has');
  return new RingEncoder({
    shape: { parameters: vectorLength - ringLength({ parameters: 0, tail }), tail },
    scale,
    rounding,
    masks,
  });
}
