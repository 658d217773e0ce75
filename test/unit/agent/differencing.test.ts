import fc from 'fast-check';

import assert from 'node:assert/strict';

import {
  requireCompany as requireCompanyOf,
  type Company,
} from '@tributary/edge-agent/internal/domain/differencing.js';

import { refusal } from '../../support/refusal.js';

const sites = (count: number, from = 0): readonly string[] =>
  Array.from({ length: count }, (_, index) => `site-${String(from + index)}`);

/** Over sums whose rounds took nobody for a colluder. */
const requireCompany = (
  now: readonly string[],
  earlier: readonly (readonly string[])[],
  company: Company,
): void =>
  requireCompanyOf(
    now,
    earlier.map((sites) => ({ sites, colluders: 0 })),
    company,
  );

const everybody = { colluders: 0, counts: () => true };

describe('sums over the same model', () => {
  it('may be over the same sites again, or over others by the minimum of the site and by three', () => {
    const allow = (earlier: readonly (readonly string[])[], now: readonly string[], minimum: number): void =>
      requireCompany(now, earlier, { ...everybody, minimum });
    allow([], sites(5), 3);
    allow([sites(9)], sites(9).toReversed(), 9);
    allow([sites(8)], sites(5), 3);
    allow([sites(8)], sites(4), 4);
    allow([sites(3)], sites(3, 3), 3);
  });

  it('may not differ by fewer, one way or the other', () => {
    const refuses = (earlier: readonly string[], now: readonly string[], minimum: number): void =>
      assert.throws(
        () => requireCompany(now, [sites(9), earlier], { ...everybody, minimum }),
        refusal('SECAGG_DIFFERENCING'),
      );
    refuses(sites(5), sites(4), 0);
    refuses(sites(4), sites(5), 0);
    refuses(sites(4), sites(4, 1), 0);
    refuses(sites(20), sites(16), 5);
  });

  it('count only the sites that the policy pins', () => {
    const pinned = new Set(sites(5));
    const company = { minimum: 3, colluders: 0, counts: (site: string) => pinned.has(site) };
    requireCompany(sites(8), [], company);
    assert.throws(() => requireCompany(sites(6, 3), [], company), refusal('SECAGG_TOO_FEW', /^2 sites/));
    // Three sites between them, of which two, or none, count.
    for (const now of [sites(8), sites(6)]) requireCompany(now, [now], company);
    assert.throws(() => requireCompany(sites(6, 2), [sites(8)], company), refusal('SECAGG_DIFFERENCING'));
    assert.throws(() => requireCompany(sites(5), [sites(8)], company), refusal('SECAGG_DIFFERENCING'));
    requireCompany(sites(5), [[...sites(2), ...sites(3, 5)]], company);
  });

  it('hold as many as collude, and two more', () => {
    const company = { minimum: 3, colluders: 3, counts: () => true };
    requireCompany(sites(10), [sites(5)], company);
    assert.throws(() => requireCompany(sites(10), [sites(6)], company), refusal('SECAGG_DIFFERENCING'));
  });

  it('hold as many as colluded in the earlier round, where they were more, and two more', () => {
    const earlier = [{ sites: sites(10), colluders: 3 }];
    requireCompanyOf(sites(5), earlier, { ...everybody, minimum: 3 });
    assert.throws(
      () => requireCompanyOf(sites(6), earlier, { ...everybody, minimum: 3 }),
      refusal('SECAGG_DIFFERENCING'),
    );
  });

  it('leave no difference of one or two sites, whichever cohorts come', () => {
    const cohort = fc.uniqueArray(fc.constantFrom(...sites(8)), { minLength: 3 });
    fc.assert(
      fc.property(fc.array(cohort, { maxLength: 12 }), (asked) => {
        const unmasked: (readonly string[])[] = [];
        for (const one of asked) {
          try {
            requireCompany(one, unmasked, { ...everybody, minimum: 0 });
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
