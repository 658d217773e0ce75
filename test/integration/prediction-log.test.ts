import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { PredictionFiles } from '@tributary/edge-agent/internal/adapters/decisions/prediction-files.js';
import { PredictionDirectory } from '@tributary/edge-agent/internal/adapters/decisions/prediction-directory.js';
import type { PredictionEntry } from '@tributary/edge-agent/internal/serving-ports.js';
import { LIMITS, type DecisionRule } from '@tributary/proto';

import { eventually } from '../support/waiting.js';
import { refusal } from '../support/refusal.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const DAY_MS = 24 * 3_600_000;
const START = Date.parse('2026-03-01T10:00:00Z');

describe('log of predictions', () => {
  let folder: TemporaryDirectory;
  let nowMs: number;
  const logs: PredictionFiles[] = [];

  beforeEach(async () => {
    folder = await temporaryDirectory();
    nowMs = START;
  });
  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close();
    await folder.remove();
  });

  async function open(
    parts: Partial<DecisionRule> = {},
    expireEveryMs = 3_600_000,
  ): Promise<PredictionFiles> {
    const log = await PredictionFiles.open({
      directory: folder.path,
      key: new Uint8Array(32).fill(3),
      rule: { retentionDays: 3, maximumBytes: 1_000_000, inputs: 'Digest', ...parts },
      now: () => nowMs,
      expireEveryMs,
    });
    logs.push(log);
    return log;
  }

  const entry = (id: number, input = 'Mustermann'): PredictionEntry => ({
    atMs: nowMs,
    decisionId: `decision-${String(id)}`,
    model: 'trial',
    version: 2,
    source: 'oip',
    scores: [0.25],
    latencyMs: 1.5,
    input: () => new TextEncoder().encode(input),
  });

  async function lines(): Promise<Record<string, unknown>[]> {
    const texts = await Promise.all(
      (await readdir(folder.path)).sort().map((name) => readFile(join(folder.path, name), 'utf8')),
    );
    return texts
      .join('')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it('keeps what was decided, and of the input a digest under a key only', async () => {
    const log = await open();
    await Promise.all([log.record([entry(1), entry(2)]), log.record([entry(3, 'other')])]);
    const [header, first, second, third] = await lines();
    assert.deepEqual(header, { formatVersion: 1, kind: 'predictions' });
    assert.deepEqual(first, {
      at: '2026-03-01T10:00:00.000Z',
      decisionId: 'decision-1',
      model: 'trial',
      version: 2,
      source: 'oip',
      scores: [0.25],
      latencyMs: 1.5,
      input: first?.['input'],
    });
    assert.match(String(first['input']), /^hmac-sha256:[0-9a-f]{64}$/);
    assert.equal(first['input'], second?.['input']);
    assert.notEqual(first['input'], third?.['input']);
    assert.doesNotMatch(JSON.stringify(await lines()), /Mustermann/);
  });

  it('does not even ask for the inputs where it keeps nothing of them', async () => {
    const log = await open({ inputs: 'None' });
    const asked = (): never => assert.fail('asked for the input');
    await log.record([{ ...entry(1), input: asked }]);
    const [, line] = await lines();
    assert.deepEqual([line?.['decisionId'], line?.['input']], ['decision-1', undefined]);
  });

  it('lets files go while nothing is recorded, the one that is open too', async () => {
    const log = await open({}, 5);
    await log.record([entry(1)]);
    nowMs += 3 * DAY_MS;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(await readdir(folder.path), ['2026-03-01.000001.jsonl']);
    nowMs += DAY_MS;
    await eventually('the file to go', async () => (await readdir(folder.path)).length === 0 || undefined);
    await log.record([entry(2)]);
    assert.deepEqual(await readdir(folder.path), ['2026-03-05.000001.jsonl']);
  });

  it('keeps a log for each source by its own rule', async () => {
    const key = new Uint8Array(32);
    const all = new PredictionDirectory({ directory: folder.path, key, now: () => nowMs });
    const rule: DecisionRule = { retentionDays: 1, maximumBytes: 1_000_000, inputs: 'None' };
    const [beds, oip] = [await all.open('beds', rule), await all.open('oip', { ...rule, retentionDays: 9 })];
    await assert.rejects(all.open('oip', rule), refusal('ALREADY_EXISTS'));
    await assert.rejects(all.open('../up', rule), refusal('INVALID_ARGUMENT'));
    await Promise.all([beds.record([entry(1)]), oip.record([entry(2)])]);
    nowMs += 2 * DAY_MS;
    await Promise.all([beds.record([entry(3)]), oip.record([entry(4)])]);
    await all.close();
    assert.deepEqual(await readdir(join(folder.path, 'beds')), ['2026-03-03.000001.jsonl']);
    assert.deepEqual((await readdir(join(folder.path, 'oip'))).sort(), [
      '2026-03-01.000001.jsonl',
      '2026-03-03.000001.jsonl',
    ]);
  });

  it('begins a file a day and at each start, and removes those that are too old', async () => {
    const log = await open();
    for (let day = 0; day < 6; day += 1) {
      await log.record([entry(day)]);
      nowMs += DAY_MS;
    }
    nowMs -= DAY_MS;
    const again = await open();
    await again.record([entry(9)]);
    assert.deepEqual((await readdir(folder.path)).sort(), [
      '2026-03-03.000001.jsonl',
      '2026-03-04.000001.jsonl',
      '2026-03-05.000001.jsonl',
      '2026-03-06.000001.jsonl',
      '2026-03-06.000002.jsonl',
    ]);
  });

  it('keeps to its bytes, and to files that are its own', async () => {
    await writeFile(join(folder.path, 'notes.txt'), 'mine');
    const log = await open({ maximumBytes: 16_000 });
    for (let id = 0; id < 300; id += 1) await log.record([entry(id)]);
    const names = await readdir(folder.path);
    assert.ok(names.includes('notes.txt'));
    const sizes = await Promise.all(names.map((name) => readFile(join(folder.path, name))));
    const bytes = sizes.reduce((sum, content) => sum + content.length, 0);
    assert.ok(bytes > 10_000 && bytes < 18_000, String(bytes));
  });

  it('leaves what a crash tore alone, and goes on in a file of its own', async () => {
    await (await open()).record([entry(1)]);
    const [name = ''] = await readdir(folder.path);
    await appendFile(join(folder.path, name), '{"torn');
    await (await open()).record([entry(2)]);
    assert.equal((await readdir(folder.path)).length, 2);
  });

  it('refuses more than it can hold, and everything once closed', async () => {
    const log = await open();
    const many = Array.from({ length: LIMITS.predictionLogPending + 1 }, () => entry(1));
    await assert.rejects(log.record(many), refusal('OVERLOADED'));
    await log.close();
    await assert.rejects(log.record([entry(1)]), refusal('SHUTTING_DOWN'));
  });
});
