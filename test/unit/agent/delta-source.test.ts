import assert from 'node:assert/strict';

import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { DeltaSource } from '@tributary/edge-agent/internal/app/delta-source.js';
import { encodeWeights, FLOAT32_BYTES, LIMITS } from '@tributary/proto';

import { refusal } from '../../support/refusal.js';

/** More than two pieces. */
const LENGTH = (2 * LIMITS.chunkBytes) / FLOAT32_BYTES + 3;
const trained = Float32Array.from({ length: LENGTH }, (_, index) => index % 1_000);

describe('source of deltas', () => {
  let files: MemoryOutbox;
  let source: DeltaSource;

  beforeEach(async () => {
    files = new MemoryOutbox();
    source = new DeltaSource(files);
    await files.writeSealed('a.delta', encodeWeights(trained));
  });

  it('gives what is kept from memory and everything else from its file, in the same pieces', async () => {
    const fromFile = await collected(source.pieces('a.delta'));
    const inMemory = trained.map((value) => -value);
    source.keep('a.delta', inMemory.slice());
    const fromMemory = await collected(source.pieces('a.delta'));
    assert.deepEqual(joined(fromFile), trained);
    assert.deepEqual(joined(fromMemory), inMemory);
    assert.deepEqual(
      fromMemory.map(({ length }) => length),
      fromFile.map(({ length }) => length),
    );
    await assert.rejects(collected(source.pieces('b.delta')), refusal('NOT_FOUND'));
  });

  it('reads the file again where the reader of the memory has changed it', async () => {
    source.keep('a.delta', trained.slice());
    for await (const piece of source.pieces('a.delta')) piece.fill(0);
    assert.deepEqual(joined(await collected(source.pieces('a.delta'))), trained);
  });

  it('reads the file where the reader of the memory stopped early, or the memory was released', async () => {
    source.keep('a.delta', new Float32Array(LENGTH));
    for await (const piece of source.pieces('a.delta')) {
      piece.fill(1);
      break;
    }
    assert.deepEqual(joined(await collected(source.pieces('a.delta'))), trained);
    source.keep('a.delta', new Float32Array(LENGTH));
    source.release();
    assert.deepEqual(joined(await collected(source.pieces('a.delta'))), trained);
  });

  it('keeps no second vector while one is being read', async () => {
    await files.writeSealed('b.delta', encodeWeights(trained));
    source.keep('a.delta', new Float32Array(LENGTH));
    for await (const piece of source.pieces('a.delta')) {
      assert.equal(piece[0], 0);
      source.keep('b.delta', new Float32Array(LENGTH));
    }
    assert.deepEqual(joined(await collected(source.pieces('b.delta'))), trained);
  });
});

async function collected(pieces: AsyncIterable<Float32Array>): Promise<Float32Array[]> {
  const copies: Float32Array[] = [];
  for await (const piece of pieces) copies.push(piece.slice());
  return copies;
}

function joined(pieces: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
