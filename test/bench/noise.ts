import { SeededRandom } from '../support/seeded-random.js';

/** Values of the table: prime, so that shifts by another number of places differ everywhere. */
const TABLE_LENGTH = 1_048_573;
/** Small enough that no update is clipped: the norm of 25 million of them is below 10. */
const AMPLITUDE = 1e-3;

let table: Float32Array | undefined;

function noise(): Float32Array {
  if (table !== undefined) return table;
  const random = new SeededRandom(11);
  table = Float32Array.from(
    { length: TABLE_LENGTH },
    () => (random.uint32() / 2 ** 32 - 0.5) * 2 * AMPLITUDE,
  );
  return table;
}

/**
 * The update that agent `agent` sends in `round`: random values, different for each agent and round, at the cost of a
 * copy. Both the replaced trainer and the check of the sum make them, so neither has to remember any.
 */
export function randomUpdate(agent: number, round: number, length: number): Float32Array {
  const values = noise();
  const update = new Float32Array(length);
  let at = (agent * 104_729 + round * 15_485_863) % TABLE_LENGTH;
  for (let done = 0; done < length;) {
    const part = values.subarray(at, Math.min(TABLE_LENGTH, at + length - done));
    update.set(part, done);
    done += part.length;
    at = (at + part.length) % TABLE_LENGTH;
  }
  return update;
}
