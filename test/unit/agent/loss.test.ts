import assert from 'node:assert/strict';

import fc from 'fast-check';
import { LOSSES, logitsToScores } from '@tributary/edge-agent/internal/domain/losses/loss.js';

const TASKS = [
  ['Binary', 1],
  ['MultiClass', 3],
  ['Regression', 1],
] as const;

describe('losses', () => {
  for (const [task, outputs] of TASKS) {
    it(`${task}: the gradient is that of the mean loss (central differences, property)`, () => {
      const logit = fc.double({ min: -8, max: 8, noNaN: true });
      const rows = fc.array(
        fc.tuple(fc.array(logit, { minLength: outputs, maxLength: outputs }), fc.nat({ max: 2 })),
        {
          minLength: 1,
          maxLength: 4,
        },
      );
      fc.assert(
        fc.property(rows, (drawn) => {
          const logits = Float32Array.from(drawn.flatMap(([values]) => values));
          const labels = Float32Array.from(drawn.map(([, label]) => (task === 'Binary' ? label % 2 : label)));
          const gradient = new Float32Array(logits.length);
          LOSSES[task]({ logits, labels, outputs }, gradient);
          for (const [index, value] of logits.entries()) {
            // Steps that float32 holds exactly; the difference quotient is then good to about 1e-4.
            const step = 2 ** -8;
            const at = (shift: number): number =>
              LOSSES[task]({ logits: logits.with(index, value + shift), labels, outputs });
            const width = Math.fround(value + step) - Math.fround(value - step);
            const slope = (at(step) - at(-step)) / width / drawn.length;
            assert.ok(
              Math.abs(slope - (gradient[index] ?? 0)) < 2e-4,
              `${String(slope)} ${String(gradient[index])}`,
            );
          }
        }),
        { numRuns: 50 },
      );
    });
  }

  it('stay finite for logits that overflow exp, and not finite for NaN', () => {
    const labels = Float32Array.of(0, 1);
    assert.equal(LOSSES.Binary({ logits: Float32Array.of(1000, -1000), labels, outputs: 1 }), 2000);
    const logits = Float32Array.of(1000, 0, 0, 1000);
    assert.equal(LOSSES.MultiClass({ logits, labels, outputs: 2 }), 0);
    assert.ok(Number.isNaN(LOSSES.Binary({ logits: Float32Array.of(Number.NaN, 0), labels, outputs: 1 })));
    assert.ok(
      Number.isNaN(LOSSES.MultiClass({ logits: Float32Array.of(Number.NaN, 0, 0, 0), labels, outputs: 2 })),
    );
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
