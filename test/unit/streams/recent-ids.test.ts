import assert from 'node:assert/strict';

import { canonicalText, LIMITS } from '@tributary/proto';
import {
  contentId,
  idOf,
  recordDecisionId,
  type ContentIdentity,
} from '@tributary/edge-agent/internal/domain/streams/identity.js';
import { INITIAL_RECENT, RecentIds } from '@tributary/edge-agent/internal/domain/streams/recent-ids.js';
import fc from 'fast-check';

const MOST = LIMITS.streamRecentIds;
const id = (number: number): string => idOf({ number });

describe('recent ids of a key', () => {
  it('are the newest ones, whatever else was added to the same before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 700 }), fc.nat(2_000)), { maxLength: 12 }),
        (steps) => {
          // Values are taken up again after others were made of them.
          const values: { readonly recent: RecentIds; readonly ids: readonly string[] }[] = [
            { recent: INITIAL_RECENT, ids: [] },
          ];
          for (const [back, count, first] of steps) {
            let { recent, ids } = values.at(-1 - (back % values.length)) ?? {
              recent: INITIAL_RECENT,
              ids: [],
            };
            for (let number = first; number < first + count; number += 1) {
              recent = recent.with(id(number));
              ids = [...ids, id(number)];
            }
            values.push({ recent, ids });
          }
          for (const { recent, ids } of values) {
            const newest = new Set(ids.slice(-MOST));
            for (let number = 0; number < 2_700; number += 7)
              assert.equal(recent.has(id(number)), newest.has(id(number)));
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('are stored and read back', () => {
    let recent = INITIAL_RECENT;
    for (let number = 0; number < MOST + 300; number += 1) recent = recent.with(id(number));
    const { pages } = JSON.parse(JSON.stringify(recent)) as { pages: string[][] };
    const again = RecentIds.of(pages.flat());
    assert.equal(again.has(id(300)), true);
    assert.equal(again.has(id(299)), false);
    assert.deepEqual(again.toJSON(), recent.toJSON());
  });
});

describe('ids of records', () => {
  const text = fc.string({ unit: 'grapheme' });

  it('are those of their canonical JSON', () => {
    fc.assert(
      fc.property(
        fc.record({
          topic: text,
          digest: fc.stringMatching(/^[0-9a-f]{64}$/),
          id: fc.option(text, { nil: undefined }),
          position: fc.nat(),
          time: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
        }),
        (content: ContentIdentity) => {
          assert.equal(contentId(content), idOf({ ...content }), canonicalText({ ...content }));
        },
      ),
    );
    fc.assert(
      fc.property(text, text, text, (pipeline, key, message) => {
        assert.equal(
          recordDecisionId(pipeline, key, message),
          idOf({ pipeline, key, message, rule: 'record' }),
        );
      }),
    );
  });
});
