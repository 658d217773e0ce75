import fc from 'fast-check';

import assert from 'node:assert/strict';

import { requireNoDifference } from '@tributary/edge-agent/internal/domain/differencing.js';

import { refusal } from '../../support/refusal.js';

const sites = (count: number, from = 0): readonly string[] =>
  Array.from({ length: count }, (_, index) => `site-${String(from + index)}`);

describe('sums over the same model', () => {
  it('may be over the same sites again, or over others by the minimum of the site and by three', () => {
    requireNoDifference([], sites(5), 3);
    requireNoDifference([sites(5)], sites(5).toReversed(), 9);
    requireNoDifference([sites(8)], sites(5), 3);
    requireNoDifference([sites(8)], sites(4), 4);
    requireNoDifference([sites(3)], sites(3, 3), 6);
  });

  it('may not differ by fewer, one way or the other', () => {
    const refuses = (earlier: readonly string[], now: readonly string[], minimum: number): void =>
      assert.throws(
        () => requireNoDifference([sites(9), earlier], now, minimum),
        refusal('SECAGG_DIFFERENCING'),
      );
    refuses(sites(5), sites(4), 0);
    refuses(sites(4), sites(5), 0);
    refuses(sites(4), sites(4, 1), 0);
    refuses(sites(20), sites(16), 5);
  });

  it('leave no difference of one or two sites, whichever cohorts come', () => {
    const cohort = fc.uniqueArray(fc.constantFrom(...sites(8)), { minLength: 3 });
    fc.assert(
      fc.property(fc.array(cohort, { maxLength: 12 }), (asked) => {
        const unmasked: (readonly string[])[] = [];
        for (const one of asked) {
          try {
            requireNoDifference(unmasked, one, 0);
            unmasked.push(one);
          } catch (error) {
            assert.ok(refusal('SECAGG_DIFFERENCING')(error));
          }
        }
        for (const one of unmasked)
          for (const other of unmasked) {
            const [first, second] = [new Set(one), new Set(other)];
            const between = [
              ...one.filter((site) => !second.has(site)),
              ...other.filter((site) => !first.has(site)),
            ];
            assert.ok(between.length !== 1 && between.length !== 2);
          }
      }),
    );
  });
});
