import assert from 'node:assert/strict';

import fc from 'fast-check';

import { requireDuration } from '@tributary/coordinator/internal/cli/duration.js';
import { age } from '@tributary/coordinator/internal/cli/output/age.js';
import { formatValue } from '@tributary/coordinator/internal/cli/output/formats.js';
import { startProgress } from '@tributary/coordinator/internal/cli/output/progress.js';
import { tableLines } from '@tributary/coordinator/internal/cli/output/table.js';
import { printable } from '@tributary/proto';
import { requireKind, requireReference } from '@tributary/coordinator/internal/cli/reference.js';
import { RecordedTerminal } from '../../support/cli-session.js';
import { refusal } from '../../support/refusal.js';

describe('output of the tributary command', () => {
  describe('tables', () => {
    const columns = [
      { title: 'NAME', cell: (row: readonly string[]) => row[0] ?? '' },
      { title: 'STATE', cell: (row: readonly string[]) => row[1] ?? '' },
    ];

    it('align columns by their widest cell and end no line with spaces', () => {
      assert.deepEqual(
        tableLines(columns, [
          ['a', 'Running'],
          ['a-long-name', ''],
        ]),
        ['NAME          STATE', 'a             Running', 'a-long-name'],
      );
    });

    it('of nothing are their titles', () => {
      assert.deepEqual(tableLines(columns, []), ['NAME   STATE']);
    });

    it('never let a cell steer the terminal or break the table', () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string())), (rows) => {
          const lines = tableLines(columns, rows);
          assert.equal(lines.length, rows.length + 1);
          for (const line of lines) assert.doesNotMatch(line, /\p{Cc}/u);
        }),
      );
      assert.equal(printable('a\u001b[31mb\nc'), 'a [31mb c');
      assert.equal(printable('a\u009b2Jb\u202ec\u2028d\u200ee'), 'a 2Jb c d e');
      assert.equal(printable('Zürich, 東京, می‌خواهم'), 'Zürich, 東京, می‌خواهم');
    });
  });

  describe('ages', () => {
    const now = Date.parse('2026-01-10T00:00:00.000Z');
    for (const [from, shown] of [
      ['2026-01-09T23:59:59.999Z', '0s'],
      ['2026-01-09T23:59:01.000Z', '59s'],
      ['2026-01-09T23:59:00.000Z', '1m'],
      ['2026-01-09T22:00:01.000Z', '1h'],
      ['2026-01-09T00:00:00.000Z', '1d'],
      ['2025-01-10T00:00:00.000Z', '365d'],
      ['2026-01-11T00:00:00.000Z', '0s'],
      ['yesterday', '-'],
      [undefined, '-'],
    ] as const) {
      it(`${String(from)} is ${shown}`, () => assert.equal(age(from, now), shown));
    }
  });

  describe('durations', () => {
    for (const [text, seconds] of [
      ['90s', 90],
      ['15m', 900],
      ['24h', 86_400],
      ['7d', 604_800],
    ] as const) {
      it(`${text} are ${String(seconds)} seconds`, () =>
        assert.equal(requireDuration(text, '--ttl'), seconds));
    }

    for (const text of ['', '0s', '-1s', '1', '1.5h', '1w', '10 m', '99999999s', '1h30m']) {
      it(`"${text}" is refused by the option's name`, () => {
        assert.throws(
          () => requireDuration(text, '--ttl'),
          refusal('USAGE', /^--ttl: .*is not a duration such as 90s/),
        );
      });
    }
  });

  describe('references', () => {
    it('are KIND/NAME or two words, with short and plural kinds in any case', () => {
      for (const [first, second] of [
        ['fj/loans'],
        ['fj', 'loans'],
        ['FederatedJob', 'loans'],
        ['jobs/loans'],
      ] as const) {
        assert.deepEqual(requireReference(first, second), { kind: 'FederatedJob', name: 'loans' });
      }
      assert.equal(requireKind('sites'), 'Site');
      assert.equal(requireKind('MODEL'), 'Model');
    });

    it('of another form are refused with an example', () => {
      for (const first of ['fj', 'fj/', '/loans', 'fj/a/b', '']) {
        assert.throws(() => requireReference(first, undefined), refusal('USAGE'), first);
      }
      assert.throws(() => requireKind('pod'), refusal('USAGE', /pod: no such kind/));
    });
  });

  describe('formats', () => {
    it('are JSON and YAML', () => {
      assert.equal(formatValue({ a: [1] }, 'yaml'), 'a:\n  - 1');
      assert.deepEqual(JSON.parse(formatValue({ a: [1] }, 'json')), { a: [1] });
    });
  });

  describe('progress without a terminal', () => {
    it('is a line at the start and at each tenth', () => {
      const terminal = new RecordedTerminal();
      const progress = startProgress(terminal, 'loans', 40, 'rounds');
      for (let round = 0; round <= 40; round += 1) progress.update(round);
      progress.stop();
      assert.equal(terminal.notes.length, 11);
      assert.deepEqual(
        [terminal.notes[0], terminal.notes.at(-1)],
        ['loans: 0/40 rounds', 'loans: 40/40 rounds'],
      );
      assert.deepEqual(terminal.results, []);
    });

    it('of something empty is done at once', () => {
      const terminal = new RecordedTerminal();
      startProgress(terminal, 'loans', 0, 'bytes').update(0, 'nothing to do');
      assert.deepEqual(terminal.notes, ['loans: 0/0 bytes: nothing to do']);
    });
  });
});
