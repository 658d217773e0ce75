import { LIMITS, type StreamPayloadSpec } from '@tributary/proto';

import { fault, isFault } from '../fault.js';
import { instant } from '../instant.js';
import { finite } from './cells.js';
import { compileTime } from './message-time.js';
import type { PayloadReader } from './message.js';
import { PACKED, unpack } from './packed-numbers.js';

type PackedSpec = Extract<StreamPayloadSpec, { type: 'Samples' }>;

/** Reads packed numbers: channels take turns; a number that is not finite is a missing sample. */
export function packedReader(spec: PackedSpec): PayloadReader {
  const { channels, scale, offset, rateHz = 1 } = spec;
  const readTime = compileTime(spec.time);
  const packed = PACKED[spec.encoding];
  const periodMs = 1_000 / rateHz;
  return (message, captures) => {
    const count = message.payload.length / (packed.bytes * channels.length);
    if (count === 0 || !Number.isInteger(count)) return fault('Ragged');
    if (count > LIMITS.streamPoints) return fault('TooManyPoints');
    const time = readTime(message, captures, undefined);
    if (isFault(time)) return time;
    const numbers = unpack(message.payload, packed) ?? [];
    const columns = Object.fromEntries(
      channels.map((name, channel) => [
        name,
        Array.from({ length: count }, (_, index) =>
          finite((numbers[index * channels.length + channel] ?? NaN) * scale + offset),
        ),
      ]),
    );
    const startMs = time ?? instant(message.arrivalMs - count * periodMs);
    return [{ startMs, periodMs, count, columns, id: undefined, arrived: time === undefined }];
  };
}
