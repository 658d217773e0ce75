import assert from 'node:assert/strict';

import fc from 'fast-check';
import { LOSS_NAMES, lossesOf, TributaryError } from '@tributary/proto';
import { lossOf, logitsToScores } from '@tributary/edge-agent/internal/domain/losses/loss.js';

const TASKS = [
  ['Binary', 1],
  ['MultiClass', 3],
  ['Regression', 1],
] as const;

/** Losses with a kink, where no difference quotient is the derivative: they are checked away from it. */
const KINKED = new Set(['Hinge', 'AbsoluteError']);

describe('losses', () => {
  for (const [task, outputs] of TASKS) {
    for (const name of lossesOf(task)) {
      it(`${task} ${name}: the gradient is that of the weighted mean loss (central differences, property)`, () => {
        const logit = fc.double({ min: -8, max: 8, noNaN: true });
        const row = fc.tuple(fc.array(logit, { minLength: outputs, maxLength: outputs }), fc.nat({ max: 2 }));
        const weights = fc.constantFrom(undefined, [0.5, 2, 3]);
        fc.assert(
          fc.property(fc.array(row, { minLength: 1, maxLength: 4 }), weights, (drawn, classWeights) => {
            const loss = lossOf({
              task,
              name,
              classWeights: task === 'Regression' ? undefined : classWeights,
            });
            const logits = Float32Array.from(drawn.flatMap(([values]) => values));
            const labels = Float32Array.from(
              drawn.map(([, label]) => (task === 'Binary' ? label % 2 : label)),
            );
            const gradient = new Float32Array(logits.length);
            loss({ logits, labels, outputs }, gradient);
            for (const [index, value] of logits.entries()) {
              // Steps that float32 holds exactly; the difference quotient is then good to about 1e-4.
              const step = 2 ** -8;
              const at = (shift: number): number =>
                loss({ logits: logits.with(index, value + shift), labels, outputs });
              const width = Math.fround(value + step) - Math.fround(value - step);
              const slope = (at(step) - at(-step)) / width / drawn.length;
              const [below, above] = [(at(0) - at(-step)) / step, (at(step) - at(0)) / step];
              if (KINKED.has(name) && Math.abs(below - above) > 0.05) continue;
              assert.ok(
                Math.abs(slope - (gradient[index] ?? 0)) < 1e-3,
                `${String(slope)} ${String(gradient[index])}`,
              );
            }
          }),
          { numRuns: 50 },
        );
      });
    }

    it(`${task}: has no other losses`, () => {
      for (const name of LOSS_NAMES.filter((other) => !lossesOf(task).includes(other)))
        assert.throws(() => lossOf({ task, name }), TributaryError);
    });
  }

  it('are those of their definitions', () => {
    const one = (
      task: 'Binary' | 'MultiClass' | 'Regression',
      name: (typeof LOSS_NAMES)[number],
      z: number[],
      y: number,
    ) =>
      lossOf({ task, name })({ logits: Float32Array.from(z), labels: Float32Array.of(y), outputs: z.length });
    const near = (actual: number, expected: number): void => {
      assert.ok(Math.abs(actual - expected) < 1e-6, `${String(actual)} is not ${String(expected)}`);
    };
    near(one('Regression', 'AbsoluteError', [3], 1.5), 1.5);
    near(one('Regression', 'LogCosh', [3], 1.5), Math.log(Math.cosh(1.5)));
    near(one('Regression', 'LogCosh', [1000], 0), 1000 - Math.LN2);
    near(one('Binary', 'SquaredError', [0], 1), 0.25);
    near(one('Binary', 'Hinge', [0.25], 1), 0.75);
    near(one('Binary', 'Hinge', [0.25], 0), 1.25);
    near(one('MultiClass', 'Hinge', [1, 3, 2.5], 2), 1.5);
    near(one('MultiClass', 'SquaredError', [0, 0], 1), 0.25);
    near(one('MultiClass', 'CosineProximity', [0, 0], 1), -Math.SQRT1_2);
  });

  it('count a row by the weight of its class', () => {
    const logits = Float32Array.of(0.5, -1, 2);
    const labels = Float32Array.of(0, 1, 1);
    const plain = lossOf({ task: 'Binary' });
    const weighted = lossOf({ task: 'Binary', classWeights: [3, 0.5] });
    const rowLosses = [0, 1, 2].map((row) =>
      plain({ logits: logits.slice(row, row + 1), labels: labels.slice(row, row + 1), outputs: 1 }),
    );
    const expected = rowLosses.reduce((sum, loss, row) => sum + loss * (labels[row] === 1 ? 0.5 : 3), 0);
    assert.ok(Math.abs(weighted({ logits, labels, outputs: 1 }) - expected) < 1e-12);
  });

  it('stay finite for logits that overflow exp, and not finite for NaN', () => {
    const labels = Float32Array.of(0, 1);
    const [binary, multiClass] = [lossOf({ task: 'Binary' }), lossOf({ task: 'MultiClass' })];
    assert.equal(binary({ logits: Float32Array.of(1000, -1000), labels, outputs: 1 }), 2000);
    const logits = Float32Array.of(1000, 0, 0, 1000);
    assert.equal(multiClass({ logits, labels, outputs: 2 }), 0);
    assert.ok(Number.isNaN(binary({ logits: Float32Array.of(Number.NaN, 0), labels, outputs: 1 })));
    assert.ok(Number.isNaN(multiClass({ logits: Float32Array.of(Number.NaN, 0, 0, 0), labels, outputs: 2 })));
  });

  it('turn logits into probabilities that sum to one', () => {
    const binary = Float32Array.of(0, 800, -800);
    logitsToScores('Binary', binary, 1);
    assert.deepEqual([...binary], [0.5, 1, 0]);
    const classes = Float32Array.of(Math.log(1), Math.log(2), Math.log(5), 900, 900, -900);
    logitsToScores('MultiClass', classes, 3);
    for (const [index, expected] of [0.125, 0.25, 0.625, 0.5, 0.5, 0].entries()) {
      assert.ok(Math.abs((classes[index] ?? 0) - expected) < 1e-6);
    }
    const values = Float32Array.of(-3, 4);
    logitsToScores('Regression', values, 1);
    assert.deepEqual([...values], [-3, 4]);
  });
});
