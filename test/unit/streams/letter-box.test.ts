import assert from 'node:assert/strict';

import { LIMITS, TributaryError } from '@tributary/proto';
import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { keptLetters, type FoundLetter } from '@tributary/edge-agent/internal/app/streams/kept-letters.js';
import { LetterBox } from '@tributary/edge-agent/internal/app/streams/letter-box.js';
import type { SealedFiles } from '@tributary/edge-agent/internal/ports.js';

import { refusal } from '../../support/refusal.js';
import { StreamWorld } from '../../support/stream-engine.js';
import { pipeline } from '../../support/stream-pipeline.js';
import { eventually } from '../../support/waiting.js';

describe('kept dead letters', () => {
  let files: SealedFiles;
  let warned: string[];
  const log = { warn: (_fields: object, text: string) => warned.push(text) };
  const open = (keepBytes: number): Promise<LetterBox> => LetterBox.open(files, keepBytes, log);

  beforeEach(() => {
    files = new MemoryOutbox();
    warned = [];
  });

  const keep = (box: LetterBox, number: number, size = 100): Promise<void> =>
    new Promise((resolve) => {
      const payload = new Uint8Array(size).fill(number);
      box.keep({ reason: 'NotJson', topic: `t/${String(number)}`, arrivalMs: number, payload }, resolve);
    });
  async function found(): Promise<readonly FoundLetter[]> {
    const letters: FoundLetter[] = [];
    for await (const letter of keptLetters(files)) letters.push(letter);
    return letters;
  }
  const topics = async (): Promise<string[]> => (await found()).map(({ topic }) => topic);

  it('are read as they were kept, by ids that stay', async () => {
    const box = await open(10_000);
    await keep(box, 1);
    await Promise.all([2, 3].map((number) => keep(box, number)));
    const letters = await found();
    assert.deepEqual(await topics(), ['t/1', 't/2', 't/3']);
    assert.deepEqual(letters[2]?.payload, new Uint8Array(100).fill(3));
    assert.equal(letters[0]?.id, '1-1');
    await keep(await open(10_000), 4);
    assert.deepEqual(
      (await found()).map(({ id }) => id),
      [...letters.map(({ id }) => id), `${String((await files.list()).length)}-1`],
    );
  });

  it('are let go oldest first, so that no more than keepBytes are there', async () => {
    const keepBytes = 1_000;
    const box = await open(keepBytes);
    for (let number = 1; number <= 20; number++) {
      await keep(box, number);
      const bytes = (await files.list()).map((name) => Number(/-(\d+)\./.exec(name)?.[1]));
      assert.ok(bytes.reduce((sum, one) => sum + one, 0) <= keepBytes);
    }
    const kept = await topics();
    assert.ok(kept.length >= 3 && kept.length < 20);
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, index) => `t/${String(21 - kept.length + index)}`),
    );
  });

  it('are trimmed at the start where keepBytes was lowered, and gone with 0', async () => {
    const box = await open(10_000);
    for (let number = 1; number <= 5; number++) await keep(box, number);
    await open(600);
    assert.deepEqual((await topics()).at(-1), 't/5');
    assert.ok((await topics()).length < 5);
    const none = await open(0);
    assert.deepEqual(await files.list(), []);
    await keep(none, 6);
    assert.deepEqual(await files.list(), []);
  });

  it('larger than keepBytes are not kept, and nobody waits for them', async () => {
    const box = await open(500);
    await keep(box, 1);
    await keep(box, 2, 10_000);
    assert.deepEqual(await topics(), ['t/1']);
  });

  it('that come together are kept up to keepBytes, whatever the length of their texts in bytes', async () => {
    const written = (letters: readonly FoundLetter[]): readonly string[] => letters.map(({ topic }) => topic);
    for (let keepBytes = 700; keepBytes < 1_000; keepBytes += 7) {
      files = new MemoryOutbox();
      const box = await open(keepBytes);
      const send = (number: number): Promise<void> =>
        new Promise((resolve) => {
          const topic = `täuschend/länger/${String(number)}`;
          box.keep({ reason: 'NotJson', topic, arrivalMs: 1, payload: new Uint8Array(20) }, resolve);
        });
      await Promise.all(Array.from({ length: 12 }, (_, number) => send(number)));
      assert.equal(written(await found()).at(-1), 'täuschend/länger/11', String(keepBytes));
    }
  });

  it('are kept again after something that waited for one has failed', async () => {
    const box = await open(10_000);
    const letter = { reason: 'NotJson', topic: 't/1', arrivalMs: 1, payload: new Uint8Array(1) };
    box.keep(letter, () => {
      throw new TypeError('a test');
    });
    await eventually('the warning', () => (warned.length > 0 ? true : undefined));
    await keep(box, 2);
    assert.deepEqual(await topics(), ['t/1', 't/2']);
  });

  it('in more files than the limit are let go too', async () => {
    const box = await open(1_000_000_000);
    for (let number = 1; number <= LIMITS.deadLetterFiles + 3; number++) await keep(box, number, 1);
    assert.equal((await files.list()).length, LIMITS.deadLetterFiles);
  });

  it('do not hold up the stream where the disk is full: the log says so', async () => {
    files.writeSealed = () => Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));
    await keep(await open(1_000), 1);
    assert.deepEqual(warned, ['dead letters were not kept']);
  });

  it('of a newer version are refused', async () => {
    const head = Buffer.from('{"formatVersion":2,"kind":"DeadLetters"}\n');
    await files.writeSealed(`000000000001-${String(head.length)}.letters`, [head]);
    await assert.rejects(found(), refusal('FORMAT_UNSUPPORTED'));
    await files.writeSealed('000000000001-1.letters', [Buffer.from('{"formatVersion":1}')]);
    await assert.rejects(found(), refusal('STORE_CORRUPT'));
  });

  it('of a storm of messages are all kept and counted, and reported so many a second', async () => {
    const world = new StreamWorld(pipeline({ deadLetter: { topic: 'out/dead', keepBytes: 10_000_000 } }));
    await world.open();
    await world.start();
    const count = 5_000;
    const began = Date.now();
    for (let index = 0; index < count; index++) await world.send(Buffer.from(`{"number":${String(index)}`));
    await eventually('all of them', () => (world.runner.status().completed === count ? true : undefined));
    const seconds = Math.ceil((Date.now() - began) / 1_000) + 1;
    assert.deepEqual(world.runner.status().deadLetters, { NotJson: count });
    const reported = world.received.length;
    assert.ok(reported >= 1 && reported <= LIMITS.deadLetterReports * seconds, `${String(reported)} reports`);
    files = world.letterFiles;
    assert.equal((await found()).length, count);
    await world.close();
  }).timeout(60_000);
});
