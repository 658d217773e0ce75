import assert from 'node:assert/strict';

import { layoutOf } from '@tributary/proto';
import { layerSchema } from '@tributary/proto/internal/model/layers/layer-schema.js';

import {
  gradientOfDelta,
  invertFirstLayer,
  invertLabel,
  relativeError,
} from '../../bench/attack-inversion.js';
import { accuracyOf, isFirst, meanInterval, rankedRight, wilson } from '../../bench/attack-statistics.js';
import { alignment, TracingAttack } from '../../bench/attack-tracing.js';
import { faultsOf, type AttackResult } from '../../bench/attack-verdict.js';
import { SeededRandom } from '../../support/seeded-random.js';

const LAYERS = [2, 1].map((units) => layerSchema.parse({ type: 'Dense', units, activation: 'Linear' }));
const LAYOUT = layoutOf(LAYERS, [3]);

/*
 * By hand, for the record (2, -1, 0.5) with label 1: hidden kernel 3 x 2, hidden bias, last kernel, last bias. Errors of
 * the hidden units 0.5 and -0.25; probability 0.75, so that the last error is -0.25; hidden values 4 and 8.
 */
const RECORD = [2, -1, 0.5];
const GRADIENT = [1, -0.5, -0.5, 0.25, 0.25, -0.125, 0.5, -0.25, -1, -2, -0.25];

describe('attacks of the bench', () => {
  it('reads a record and its label off a gradient made by hand', () => {
    assert.deepEqual([...invertFirstLayer(GRADIENT, LAYOUT)], RECORD);
    assert.equal(invertLabel(GRADIENT), 1);
    assert.equal(invertLabel(GRADIENT.map((value) => -value)), 0);
  });

  it('takes rate, steps and penalty off a delta', () => {
    const base = Float32Array.from(GRADIENT, (_, at) => at + 1);
    // Biases, at 6, 7 and 10, are not penalised.
    const penalty = GRADIENT.map((_, at) => ([6, 7, 10].includes(at) ? 0 : 2 * 0.25 * (at + 1)));
    const delta = GRADIENT.map((value, at) => -0.5 * 2 * (value + (penalty[at] ?? 0)));
    const found = gradientOfDelta(delta, { layout: LAYOUT, base, rate: 0.5, l2: 0.25, steps: 2 });
    assert.deepEqual([...found], GRADIENT);
  });

  it('reads nothing off random words', () => {
    const random = new SeededRandom(1);
    const errors = Array.from({ length: 200 }, () => {
      const words = GRADIENT.map(() => (random.uint32() | 0) / 2 ** 20);
      return relativeError(invertFirstLayer(words, LAYOUT), RECORD);
    });
    assert.ok(errors.every((error) => error > 0.05));
  });

  it('traces a gradient in a sum, and not in random words', () => {
    const random = new SeededRandom(2);
    const size = 40;
    // Far from spherical: some elements vary a hundred times as much as others.
    const draw = (): Float64Array =>
      Float64Array.from(
        { length: size },
        (_, at) => 3 + (random.uint32() / 2 ** 31 - 1) * (at % 2 ? 10 : 0.1),
      );
    const attack = new TracingAttack(Array.from({ length: 400 }, draw));
    const candidates = Array.from({ length: 50 }, draw);
    const [member = draw()] = candidates;
    const scoresOf = (update: Float64Array) => {
      const white = attack.whiten(update);
      return candidates.map((candidate) => alignment(white, attack.whiten(candidate)));
    };
    const lineUp = ([first = Number.NaN, ...others]: readonly number[]) => ({ member: first, others });
    assert.ok(Math.abs((scoresOf(member)[0] ?? 0) - 1) < 1e-12);
    const others = Array.from({ length: 3 }, draw);
    const sum = member.map(
      (value, at) => others.reduce((total, other) => total + (other[at] ?? 0), value) / 4,
    );
    assert.ok(isFirst(lineUp(scoresOf(sum))));

    const shares = Array.from({ length: 100 }, () =>
      rankedRight(lineUp(scoresOf(Float64Array.from({ length: size }, () => random.uint32() | 0)))),
    );
    const { low, high } = meanInterval(shares);
    assert.ok(low < 0.5 && high > 0.5, `${String(low)} to ${String(high)}`);
  });

  it('ranks, counts ties as one half and fits the threshold on other trials', () => {
    assert.equal(rankedRight({ member: 2, others: [1, 2, 3, 0] }), 0.625);
    assert.equal(isFirst({ member: 2, others: [1, 2] }), false);
    const apart = { member: 2, others: [1] };
    assert.equal(accuracyOf([apart, apart]), 1);
    assert.equal(accuracyOf([apart, { member: 1, others: [2] }]), 0);
  });

  it('has the intervals that the formulas give', () => {
    // Wilson's formula at 99 % for the 81 of 263 of Newcombe (Statistics in Medicine 17, 1998), by hand.
    const { low, high } = wilson(81, 263);
    assert.ok(
      Math.abs(low - 0.2402) < 5e-4 && Math.abs(high - 0.3852) < 5e-4,
      `${String(low)} ${String(high)}`,
    );
    assert.deepEqual(wilson(0, 50).low, 0);
    assert.deepEqual(wilson(50, 50).high, 1);
    const alternating = Array.from({ length: 400 }, (_, at) => at % 2);
    const interval = meanInterval(alternating);
    // The normal interval of a mean with a deviation of one half.
    assert.ok(Math.abs(interval.high - interval.low - (2 * 2.576 * 0.5) / 20) < 0.02);
  });

  it('fails a control that does not succeed and a masked update that gives something away', () => {
    const result = {
      attack: 'inversion',
      model: 'mlp',
      target: 'plain',
      sites: 1,
      records: 1,
      trials: 200,
      auc: 1,
      aucInterval: { low: 1, high: 1 },
      identified: 1,
      identifiedInterval: { low: 0.97, high: 1 },
      chance: 0.01,
      accuracy: 1,
      reconstructionError: 1e-7,
      labelAccuracy: 1,
    } satisfies AttackResult;
    assert.deepEqual(faultsOf(result), []);
    assert.deepEqual(faultsOf({ ...result, target: 'words', reconstructionError: 2e-3 }), []);
    for (const worse of [
      { auc: 0.94 },
      { identified: 0.94 },
      { reconstructionError: 2e-3 },
      { labelAccuracy: 0.9 },
    ])
      assert.equal(faultsOf({ ...result, ...worse }).length, 1);
    assert.equal(faultsOf({ ...result, target: 'masked' }).length, 1);
    const chance = {
      target: 'masked',
      aucInterval: { low: 0.45, high: 0.55 },
      identifiedInterval: { low: 0, high: 0.05 },
    } as const;
    assert.deepEqual(faultsOf({ ...result, ...chance }), []);
    for (const aucInterval of [
      { low: 0.51, high: 0.6 },
      { low: 0.4, high: 0.49 },
    ])
      assert.equal(faultsOf({ ...result, ...chance, aucInterval }).length, 1);
    const identifiedInterval = { low: 0.011, high: 0.05 };
    assert.equal(faultsOf({ ...result, ...chance, identifiedInterval }).length, 1);
    // A sum is reported, not judged.
    assert.deepEqual(faultsOf({ ...result, target: 'sum' }), []);
    assert.deepEqual(faultsOf({ ...result, records: 100, auc: 0.5 }), []);
  });
});
