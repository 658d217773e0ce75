import assert from 'node:assert/strict';

import { TributaryError } from '@tributary/proto';

import { CODECS, fuzzCheckpoint, fuzzCodec } from './codecs.js';

const INPUTS = 100_000;
const SEED = 20_260_101;

describe('fuzzed codecs', function () {
  this.timeout(120_000);

  for (const codec of CODECS) {
    const inputs = INPUTS / (codec.slowdown ?? 1);
    it(`${codec.name}: ${String(inputs)} damaged inputs are refused with a typed error or read`, () => {
      const report = fuzzCodec(codec, inputs, SEED);
      assert.equal(report.accepted + report.refused, inputs);
      assert.ok(
        report.refused > 0 || codec.name === 'signature',
        'nothing was refused: the inputs were not damaged',
      );
      assert.ok(report.slowestMs < 1_000, `one input took ${report.slowestMs.toFixed(0)} ms`);
    });
  }

  it(`checkpoint: ${String(INPUTS)} damaged inputs are refused with a typed error or read`, async () => {
    const report = await fuzzCheckpoint(INPUTS, SEED);
    assert.ok(report.refused > 0);
  });

  it('notices a codec that throws something else', () => {
    const broken = {
      name: 'broken',
      seeds: [Buffer.from('{}')],
      decode: (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString()),
    };
    assert.throws(() => fuzzCodec(broken, 100, SEED), /broken threw SyntaxError/);
    const honest = {
      ...broken,
      decode: (): never => {
        throw new TributaryError('INVALID_ARGUMENT', 'no');
      },
    };
    assert.equal(fuzzCodec(honest, 100, SEED).refused, 100);
  });
});
