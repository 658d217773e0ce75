import assert from 'node:assert/strict';

import { Accumulator, LIMITS, scaleBitsFor } from '@tributary/proto';
import type { Kernel } from '@tributary/proto/internal/accumulator/kernel.js';
import { portableKernel } from '@tributary/proto/internal/accumulator/portable-kernel.js';
import { wasmKernel } from '@tributary/proto/internal/accumulator/wasm-kernel.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const wasm = wasmKernel() ?? assert.fail('this Node has no WebAssembly SIMD');
const RANGE = 64;

const values = (length: number) =>
  fc.float32Array({
    minLength: length,
    maxLength: length,
    noNaN: true,
    noDefaultInfinity: true,
    min: -RANGE,
    max: RANGE,
  });
const updates = fc
  .integer({ min: 1, max: 40 })
  .chain((length) => fc.array(values(length), { minLength: 1, maxLength: 6 }));

function accumulate(kernel: Kernel, vectors: readonly Float32Array[], segmentLength?: number): Accumulator {
  const length = vectors[0]?.length ?? 1;
  const accumulator = new Accumulator({
    length,
    range: RANGE,
    kernel,
    ...(segmentLength === undefined ? {} : { segmentLength }),
  });
  for (const vector of vectors) accumulator.fold(0, vector);
  return accumulator;
}

const rawOf = (accumulator: Accumulator): bigint[] => accumulator.rawSums().flatMap((sums) => [...sums]);

/** rint(value * 2^bits) from the digits of the float64, without floating-point arithmetic. */
function exactRint(value: number, bits: number): bigint {
  const scale = 2n ** 1100n;
  const numerator = BigInt(value * 2 ** 200) * (scale >> 200n) * 2n ** BigInt(bits);
  const floor = numerator >= 0n ? numerator / scale : -((-numerator + scale - 1n) / scale);
  const rest = numerator - floor * scale;
  const up = rest * 2n > scale || (rest * 2n === scale && floor % 2n !== 0n);
  return floor + (up ? 1n : 0n);
}

for (const kernel of [wasm, portableKernel]) {
  describe(`accumulator (${kernel.name})`, () => {
    it('holds the exact sum of the rounded values', () => {
      fc.assert(
        fc.property(updates, (vectors) => {
          const accumulator = accumulate(kernel, vectors);
          const expected = Array.from({ length: accumulator.length }, (_, index) =>
            vectors.reduce((sum, vector) => sum + exactRint(vector[index] ?? 0, accumulator.scaleBits), 0n),
          );
          assert.deepEqual(rawOf(accumulator), expected);
        }),
      );
    });

    it('rounds ties to even', () => {
      const accumulator = new Accumulator({ length: 4, range: 2 ** 50, kernel });
      assert.equal(accumulator.scaleBits, 0);
      accumulator.fold(0, Float32Array.of(0.5, 1.5, 2.5, -0.5));
      assert.deepEqual(rawOf(accumulator), [0n, 2n, 2n, 0n]);
    });

    it('does not depend on order, chunks or segments', () => {
      fc.assert(
        fc.property(
          updates,
          fc.integer({ min: 1, max: 50 }),
          fc.integer({ min: 1, max: 50 }),
          (vectors, chunk, segmentLength) => {
            const expected = rawOf(accumulate(kernel, vectors));
            const accumulator = new Accumulator({
              length: vectors[0]?.length ?? 1,
              range: RANGE,
              kernel,
              segmentLength,
            });
            for (const vector of [...vectors].reverse()) {
              const starts = Array.from(
                { length: Math.ceil(vector.length / chunk) },
                (_, index) => index * chunk,
              );
              for (const start of starts.reverse())
                accumulator.fold(start, vector.subarray(start, start + chunk));
            }
            assert.deepEqual(rawOf(accumulator), expected);
            assert.equal(accumulator.elements, vectors.length * accumulator.length);
          },
        ),
      );
    });

    it('takes back exactly what was added', () => {
      fc.assert(
        fc.property(updates, (vectors) => {
          const accumulator = accumulate(kernel, vectors);
          for (const vector of vectors.slice(1)) accumulator.unfold(0, vector);
          assert.deepEqual(rawOf(accumulator), rawOf(accumulate(kernel, vectors.slice(0, 1))));
          assert.equal(accumulator.elements, accumulator.length);
        }),
      );
    });

    it('reads sums as float64, each rounded once, over the borders of segments', () => {
      fc.assert(
        fc.property(updates, fc.integer({ min: 1, max: 7 }), (vectors, segmentLength) => {
          const accumulator = accumulate(kernel, vectors, segmentLength);
          const sums = accumulator.toSums();
          assert.deepEqual(
            [...sums],
            rawOf(accumulator).map((sum) => Number(sum) * 2 ** -accumulator.scaleBits),
          );
          const part = new Float64Array(Math.ceil(accumulator.length / 2));
          accumulator.readSums(accumulator.length - part.length, part);
          assert.deepEqual(part, sums.subarray(-part.length));
        }),
      );
    });

    it('starts again at zero', () => {
      const accumulator = accumulate(kernel, [Float32Array.of(1, 2, 3)], 2);
      accumulator.reset();
      assert.deepEqual(rawOf(accumulator), [0n, 0n, 0n]);
      assert.equal(accumulator.elements, 0);
    });

    it('holds the largest sum of the most updates', () => {
      const accumulator = new Accumulator({ length: 1, range: RANGE, kernel });
      for (let index = 0; index < LIMITS.updatesPerRound; index += 1)
        accumulator.fold(0, Float32Array.of(RANGE));
      assert.deepEqual([...accumulator.toSums()], [RANGE * LIMITS.updatesPerRound]);
      assert.throws(() => accumulator.fold(0, Float32Array.of(0)), refusal('LIMIT_EXCEEDED'));
      assert.deepEqual([...accumulator.toSums()], [RANGE * LIMITS.updatesPerRound]);
    });

    it('reports the largest magnitude, NaN, and the sum of squares', () => {
      assert.deepEqual(kernel.check(new Float32Array(0)), { most: 0, squares: 0 });
      assert.deepEqual(kernel.check(Float32Array.of(3, -4, 0, 0, 12)), { most: 12, squares: 169 });
      for (let at = 0; at < 9; at += 1) {
        const vector = new Float32Array(9);
        vector[at] = Number.NaN;
        assert.ok(Number.isNaN(kernel.check(vector).most), `NaN at ${String(at)}`);
        vector[at] = -Infinity;
        assert.equal(kernel.check(vector).most, Infinity, `infinity at ${String(at)}`);
      }
    });
  });
}

describe('accumulator', () => {
  it('is the same in WebAssembly and in plain JavaScript, over many pieces of scratch memory', () => {
    const long = Float32Array.from({ length: 40_001 }, (_, index) => RANGE * Math.sin(index * index));
    assert.deepEqual(rawOf(accumulate(wasm, [long, long])), rawOf(accumulate(portableKernel, [long, long])));
    const [a, b] = [wasm.check(long), portableKernel.check(long)];
    assert.equal(a.most, b.most);
    assert.ok(Math.abs(a.squares - b.squares) < 1e-9 * b.squares);
  });

  it('leaves 50 bits for the value, whatever the range', () => {
    for (const [range, bits] of [
      [64, 44],
      [65, 43],
      [1, 50],
      [0.75, 50],
      [0.5, 51],
      [2 ** 50, 0],
      [2 ** 60, -10],
    ] as const) {
      assert.equal(scaleBitsFor(range), bits, `range ${String(range)}`);
    }
  });

  it('refuses elements outside, an impossible length or range', () => {
    const accumulator = new Accumulator({ length: 4, range: 1 });
    for (const offset of [-1, 0.5, 3, 5]) {
      assert.throws(() => accumulator.fold(offset, new Float32Array(2)), refusal('UPDATE_WRONG_SHAPE'));
    }
    for (const length of [0, -1, 1.5, LIMITS.modelParameters + LIMITS.tailElements + 1]) {
      assert.throws(() => new Accumulator({ length, range: 1 }), refusal('LIMIT_EXCEEDED'));
    }
    for (const range of [0, -1, Number.NaN, Infinity]) {
      assert.throws(() => new Accumulator({ length: 1, range }), refusal('INVALID_ARGUMENT'));
    }
  });
});
