import assert from 'node:assert/strict';

import { isOpen, nextOpening, type Schedule } from '@tributary/edge-agent/internal/domain/schedule.js';
import { parseSitePolicy } from '@tributary/proto';
import fc from 'fast-check';

import { altered, policyDocument } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';

const scheduleOf = (...windows: readonly unknown[]): Schedule =>
  parseSitePolicy(altered(policyDocument(), 'spec.schedule', windows)).spec.schedule ?? assert.fail();
const at = (time: string): number => Date.parse(time);

const NIGHTS = scheduleOf({
  days: ['Mon', 'Fri'],
  from: '22:00',
  to: '06:00',
  timeZone: 'Europe/Berlin',
});

describe('schedule of a site', () => {
  it('is open from the first to before the last minute, over midnight on the day after too', () => {
    // 2026-01-05 is a Monday; Berlin is an hour ahead of UTC in winter, two in summer.
    const cases: readonly (readonly [string, boolean])[] = [
      ['2026-01-05T20:59:59Z', false],
      ['2026-01-05T21:00:00Z', true],
      ['2026-01-06T04:59:59Z', true],
      ['2026-01-06T05:00:00Z', false],
      ['2026-01-06T21:30:00Z', false],
      ['2026-07-06T20:00:00Z', true],
      ['2026-07-06T19:59:00Z', false],
      ['2026-01-05T04:00:00Z', false],
    ];
    for (const [time, open] of cases) assert.equal(isOpen(NIGHTS, at(time)), open, time);
  });

  it('tells when it opens next, also where clocks change in between', () => {
    assert.equal(nextOpening(NIGHTS, at('2026-01-05T12:00:00Z')), at('2026-01-05T21:00:00Z'));
    assert.equal(nextOpening(NIGHTS, at('2026-01-06T12:00:00Z')), at('2026-01-09T21:00:00Z'));
    // Clocks go forward in the night to 2026-03-29.
    assert.equal(nextOpening(NIGHTS, at('2026-03-28T12:00:00Z')), at('2026-03-30T20:00:00Z'));
  });

  it('means the whole day where both times are the same', () => {
    const saturdays = scheduleOf({ days: ['Sat'], from: '00:00', to: '00:00', timeZone: 'UTC' });
    assert.deepEqual(
      ['2026-01-09T23:59:00Z', '2026-01-10T00:00:00Z', '2026-01-10T23:59:00Z', '2026-01-11T00:00:00Z'].map(
        (time) => isOpen(saturdays, at(time)),
      ),
      [false, true, true, false],
    );
  });

  it('opens when it says, and not before, for any window and time', () => {
    const minutes = fc.integer({ min: 0, max: 1_439 });
    const text = (of: number): string =>
      `${String(Math.floor(of / 60)).padStart(2, '0')}:${String(of % 60).padStart(2, '0')}`;
    const zones = fc.constantFrom('UTC', 'Asia/Kolkata', 'America/New_York', 'Pacific/Chatham');
    const start = at('2026-01-01T00:00:00Z');
    fc.assert(
      fc.property(
        minutes,
        minutes,
        zones,
        fc.integer({ min: 0, max: 500_000 }),
        (from, to, timeZone, later) => {
          const schedule = scheduleOf({ from: text(from), to: text(to), timeZone });
          const now = start + later * 60_000;
          const next = nextOpening(schedule, now) ?? assert.fail();
          assert.ok(next > now && next <= now + 2 * 86_400_000 && isOpen(schedule, next));
          // Half an hour before it was closed, or had been open all the time.
          const before = next - 60_000;
          if (from !== to && before > now) assert.equal(isOpen(schedule, before), false);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('refuses what is no time, no zone, and no window', () => {
    const window = { from: '22:00', to: '06:00', timeZone: 'UTC' };
    for (const [change, what] of [
      [{ from: '24:00' }, /schedule\.0\.from|schedule\[0\]\.from/],
      [{ timeZone: 'Europe/Nowhere' }, /time zone/],
      [{ days: [] }, /days/],
      [{ until: '06:00' }, /until/],
    ] as const)
      assert.throws(() => scheduleOf({ ...window, ...change }), refusal('DOCUMENT_INVALID', what));
    assert.throws(() => scheduleOf(), refusal('DOCUMENT_INVALID', /schedule/));
  });
});
