import assert from 'node:assert/strict';

import type { OutboxFiles } from '@tributary/edge-agent/internal/ports.js';

import { writeOutboxFile } from '../support/outbox-file.js';
import { refusal } from '../support/refusal.js';
import { using, type SuiteOptions } from './harness.js';

const MIB = 1024 * 1024;

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * 31) % 251);

/** What every OutboxFiles promises. */
export function outboxFilesSuite({ name, factory }: SuiteOptions<OutboxFiles>): void {
  describe(`OutboxFiles: ${name}`, () => {
    for (const length of [0, 5, MIB, 2 * MIB + 7]) {
      it(`gives back ${String(length)} sealed bytes, after reopening too`, () =>
        using(factory, async (harness) => {
          await (await harness.open()).writeSealed('a.delta', [pattern(length)]);
          assert.ok((await collect((await harness.open()).readSealed('a.delta'))).equals(pattern(length)));
        }));
    }

    it('reads a plain file from any offset in pieces of the size asked for', () =>
      using(factory, async (harness) => {
        const files = await harness.open();
        await writeOutboxFile(files, 'a.envelope', [pattern(10), pattern(7)]);
        const whole = Buffer.concat([pattern(10), pattern(7)]);
        const lengths: number[] = [];
        for await (const piece of files.read('a.envelope', 3, 5)) lengths.push(piece.length);
        assert.deepEqual(lengths, [5, 5, 4]);
        assert.ok((await collect(files.read('a.envelope', 3, 5))).equals(whole.subarray(3)));
        assert.equal((await collect(files.read('a.envelope', 17, 5))).length, 0);
      }));

    it('gives pieces that stay as they are while others are read', () =>
      using(factory, async (harness) => {
        const files = await harness.open();
        await writeOutboxFile(files, 'a', [pattern(100)]);
        const pieces: Uint8Array[] = [];
        for await (const piece of files.read('a', 0, 10)) pieces.push(piece);
        assert.ok(Buffer.concat(pieces).equals(pattern(100)));
      }));

    it('takes chunks from a producer that reuses its buffer', () =>
      using(factory, async (harness) => {
        const files = await harness.open();
        const buffer = new Uint8Array(1);
        const reuse = function* (): Generator<Uint8Array> {
          for (let value = 0; value < 5; value += 1) yield buffer.fill(value);
        };
        await writeOutboxFile(files, 'plain', reuse());
        await files.writeSealed('sealed', reuse());
        assert.deepEqual([...(await collect(files.read('plain', 0, 100)))], [0, 1, 2, 3, 4]);
        assert.deepEqual([...(await collect(files.readSealed('sealed')))], [0, 1, 2, 3, 4]);
      }));

    it('leaves nothing of what cannot be produced', () =>
      using(factory, async (harness) => {
        const files = await harness.open();
        const broken = function* (): Generator<Uint8Array> {
          yield pattern(2);
          throw new Error('the producer fails');
        };
        await assert.rejects(writeOutboxFile(files, 'plain', broken()));
        await assert.rejects(files.writeSealed('sealed', broken()));
        assert.deepEqual(await files.list(), []);
      }));

    it('gives chunks on when they can be read, and writes the rest for who stops early', () =>
      using(factory, async (harness) => {
        const files = await harness.open();
        const chunks = [pattern(3), pattern(4), pattern(5)];
        const produce = async function* (): AsyncGenerator<Uint8Array> {
          for (const chunk of chunks) yield await Promise.resolve(chunk);
        };
        for await (const chunk of files.writeThrough('a', produce())) {
          assert.deepEqual(new Uint8Array(chunk), chunks[0]);
          assert.ok((await collect(files.read('a', 0, 100))).equals(pattern(3)));
          break;
        }
        assert.ok((await collect(files.read('a', 0, 100))).equals(Buffer.concat(chunks)));
      }));

    it('says NOT_FOUND for what it does not hold, lists and removes', () =>
      using(factory, async (harness) => {
        const files = await harness.open();
        await assert.rejects(collect(files.read('a', 0, 1)), refusal('NOT_FOUND'));
        await assert.rejects(collect(files.readSealed('a')), refusal('NOT_FOUND'));
        await writeOutboxFile(files, 'a', [pattern(1)]);
        assert.deepEqual(
          [await files.has('a'), await files.has('b'), await files.list()],
          [true, false, ['a']],
        );
        await files.remove('a');
        await files.remove('a');
        assert.deepEqual([await files.has('a'), await files.list()], [false, []]);
      }));
  });
}
