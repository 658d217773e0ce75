import assert from 'node:assert/strict';
import { Writable } from 'node:stream';

import { LogBuffer } from '@tributary/coordinator/internal/adapters/logs/log-buffer.js';
import { createLog, type Log } from '@tributary/coordinator/internal/adapters/logs/log.js';
import { TributaryError } from '@tributary/proto';

function capture(level: 'debug' | 'info' = 'info'): {
  log: Log;
  buffer: LogBuffer;
  lines: () => Record<string, unknown>[];
} {
  const chunks: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  const { log, buffer } = createLog({ level, destination });
  return {
    log,
    buffer,
    lines: () =>
      chunks
        .join('')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('log of the coordinator', () => {
  it('writes the same line to its destination and to the buffer', () => {
    const { log, buffer, lines } = capture();
    log.info({ job: 'job-1' }, 'round opened');
    assert.deepEqual(
      buffer.tail(10).map(({ line }) => JSON.parse(line) as unknown),
      lines(),
    );
    assert.equal(lines()[0]?.['msg'], 'round opened');
    assert.equal(lines()[0]?.['level'], 'info');
    assert.match(String(lines()[0]?.['time']), /^\d{4}-\d\d-\d\dT/);
  });

  it('never writes a field that is named like a secret, not even one level down', () => {
    const { log, lines } = capture();
    log.info({ token: 'trib1.secret', join: { seed: 'secret-seed', site: 'a' } }, 'invited');
    const text = JSON.stringify(lines());
    assert.doesNotMatch(text, /secret/);
    assert.match(text, /redacted/);
    assert.match(text, /"site":"a"/);
  });

  it('keeps the level', () => {
    const { log, buffer } = capture('info');
    log.debug('quiet');
    assert.equal(buffer.tail(10).length, 0);
  });

  it('writes code and fields of an error, and the stack only where the error is not one of ours', () => {
    const { log, lines } = capture();
    log.warn({ error: new TributaryError('UPDATE_LATE', 'too late', { fields: { round: 3 } }) }, 'refused');
    log.error({ error: TributaryError.from(new RangeError('bug')) }, 'failed');
    const [refused, failed] = lines().map((line) => line['error'] as Record<string, unknown>);
    assert.deepEqual(refused, { code: 'UPDATE_LATE', message: 'too late', round: 3 });
    assert.equal(failed?.['code'], 'INTERNAL');
    assert.match(String(failed?.['stack']), /log\.test/);
  });
});

describe('buffer of log lines', () => {
  const line = (n: number, fields: object = {}): string => `${JSON.stringify({ n, ...fields })}\n`;
  const numbers = (lines: readonly { line: string }[]): number[] =>
    lines.map(({ line: text }) => (JSON.parse(text) as { n: number }).n);

  it('keeps the newest lines in order', () => {
    const buffer = new LogBuffer(3);
    for (let n = 0; n < 7; n += 1) buffer.write(line(n));
    assert.deepEqual(numbers(buffer.tail(10)), [4, 5, 6]);
    assert.deepEqual(numbers(buffer.tail(2)), [5, 6]);
    assert.deepEqual(buffer.tail(0), []);
  });

  it('selects by job and site', () => {
    const buffer = new LogBuffer();
    buffer.write(line(1, { job: 'j' }));
    buffer.write(line(2, { site: 's' }));
    buffer.write(line(3));
    assert.deepEqual(numbers(buffer.tail(10, 'j')), [1]);
    assert.deepEqual(numbers(buffer.tail(10, 's')), [2]);
    assert.deepEqual(numbers(buffer.tail(10)), [1, 2, 3]);
  });

  it('bounds what one line can hold, and keeps it JSON', () => {
    const buffer = new LogBuffer();
    buffer.write(`${JSON.stringify({ site: 's', text: '"'.repeat(100_000) })}\n`);
    const [kept] = buffer.tail(1, 's');
    assert.ok(kept !== undefined && kept.line.length < 20_000);
    assert.equal((JSON.parse(kept.line) as { truncated: boolean }).truncated, true);
  });

  it('tells followers until they leave', () => {
    const buffer = new LogBuffer();
    const seen: string[] = [];
    const leave = buffer.follow((entry) => seen.push(entry.line));
    buffer.write(line(1));
    leave();
    buffer.write(line(2));
    assert.equal(seen.length, 1);
  });
});
