import assert from 'node:assert/strict';

import {
  expired,
  fileNameOf,
  parseFileName,
  type LogFile,
} from '@tributary/edge-agent/internal/domain/serving/prediction-line.js';

const file = (day: string, part: number, bytes = 10): LogFile => ({ day, part, bytes });
const NOW = Date.parse('2026-03-10T12:00:00Z');

describe('files of the prediction log', () => {
  it('have names that read back, and sort by day and part', () => {
    assert.equal(fileNameOf(file('2026-01-31', 12)), '2026-01-31.000012.jsonl');
    assert.deepEqual(parseFileName('2026-01-31.000012.jsonl'), { day: '2026-01-31', part: 12 });
    for (const other of ['notes.txt', '2026-1-31.000012.jsonl', '2026-01-31.jsonl'])
      assert.equal(parseFileName(other), undefined);
  });

  it('go when they are too old', () => {
    const files = [file('2026-03-02', 1), file('2026-03-03', 1), file('2026-03-10', 1)];
    assert.deepEqual(expired(files, { retentionDays: 7, maximumBytes: 1_000 }, NOW), [files[0]]);
    assert.deepEqual(expired(files.slice(0, 1), { retentionDays: 7, maximumBytes: 1_000 }, NOW), [files[0]]);
  });

  it('go oldest first until the rest fits; the newest stays whatever it takes', () => {
    const files = [file('2026-03-09', 1), file('2026-03-09', 2), file('2026-03-10', 1, 15)];
    assert.deepEqual(expired(files, { retentionDays: 7, maximumBytes: 25 }, NOW), [files[0]]);
    assert.deepEqual(expired(files, { retentionDays: 7, maximumBytes: 1 }, NOW), [files[1], files[0]]);
  });
});
