import assert from 'node:assert/strict';

import {
  buildLayout,
  bytesToFloat32,
  encodeWeights,
  float32ToBytes,
  LIMITS,
  requireEncoding,
  weightsBytes,
  WeightsDecoder,
} from '@tributary/proto';
import { swapFloat32Bytes } from '@tributary/proto/internal/parameters/float32-bytes.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const bitsOf = (values: Float32Array): number[] => [...new Uint32Array(Float32Array.from(values).buffer)];

describe('float32 bytes', () => {
  it('are little-endian IEEE 754', () => {
    assert.equal(
      Buffer.from(float32ToBytes(Float32Array.of(1, -2, 0.1))).toString('hex'),
      '0000803f000000c0cdcccc3d',
    );
  });

  it('come back bit for bit from any address', () => {
    fc.assert(
      fc.property(fc.float32Array({ maxLength: 40, noNaN: true }), fc.nat({ max: 7 }), (values, shift) => {
        const held = new Uint8Array(shift + values.byteLength);
        held.set(float32ToBytes(values), shift);
        assert.deepEqual(bitsOf(bytesToFloat32(held.subarray(shift))), bitsOf(values));
      }),
    );
  });

  it('fill a given vector and return the filled part', () => {
    const into = new Float32Array(4);
    const filled = bytesToFloat32(float32ToBytes(Float32Array.of(1, 2)), into);
    assert.equal(filled.buffer, into.buffer);
    assert.deepEqual([...into], [1, 2, 0, 0]);
    assert.throws(() => bytesToFloat32(new Uint8Array(20), into), refusal('LIMIT_EXCEEDED'));
  });

  it('are refused where a value is cut', () => {
    for (const length of [1, 2, 3, 5])
      assert.throws(() => bytesToFloat32(new Uint8Array(length)), refusal('INVALID_ARGUMENT'));
  });

  it('are reversed in groups of four for big-endian machines, without touching the source', () => {
    const source = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    assert.deepEqual([...swapFloat32Bytes(source)], [4, 3, 2, 1, 8, 7, 6, 5]);
    assert.deepEqual([...source], [1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe('weights blob', () => {
  const length = LIMITS.chunkBytes / 4 + 3;
  const layout = buildLayout([{ name: 'a', shape: [length] }]);
  const weights = Float32Array.from({ length }, (_, index) => Math.fround(Math.sin(index)));

  it('comes in chunks within the limit and goes back together from any pieces', () => {
    const chunks = [...encodeWeights(weights)];
    assert.deepEqual(
      chunks.map((chunk) => chunk.length),
      [LIMITS.chunkBytes, 12],
    );
    assert.equal(weightsBytes(layout), LIMITS.chunkBytes + 12);
    const blob = Buffer.concat(chunks);
    const decoder = new WeightsDecoder(layout);
    for (let start = 0; start < blob.length; start += 100_003) {
      assert.equal(decoder.received, start);
      decoder.push(blob.subarray(start, start + 100_003));
    }
    assert.deepEqual(decoder.finish(), weights);
  });

  it('is refused when short, long or not finite', () => {
    const small = buildLayout([{ name: 'a', shape: [2] }]);
    const decoderOf = (bytes: Uint8Array): WeightsDecoder => {
      const decoder = new WeightsDecoder(small);
      decoder.push(bytes);
      return decoder;
    };
    assert.throws(() => decoderOf(new Uint8Array(7)).finish(), refusal('INVALID_ARGUMENT', /7 of 8/));
    assert.throws(() => decoderOf(new Uint8Array(9)), refusal('INVALID_ARGUMENT', /more than 8/));
    for (const value of [Number.NaN, Infinity]) {
      assert.throws(
        () => decoderOf(float32ToBytes(Float32Array.of(0, value))).finish(),
        refusal('INVALID_ARGUMENT', /finite/),
      );
    }
  });
});

describe('encodings', () => {
  it('are served, refused by name, or unknown', () => {
    for (const name of ['f32', 'ring']) assert.equal(requireEncoding(name), name);
    for (const name of ['bf16', 'int8', 'topk']) {
      assert.throws(() => requireEncoding(name), refusal('DOCUMENT_UNSUPPORTED', new RegExp(name)));
    }
    assert.throws(() => requireEncoding('gzip'), refusal('INVALID_ARGUMENT'));
  });
});
