import assert from 'node:assert/strict';

import { DecimalIndex, decodings } from '../e2e/leak/decodings.js';
import { ProportionIndex } from '../e2e/leak/proportion-index.js';
import { correlation, correlationBound, unevenness } from '../e2e/leak/statistics.js';
import { floatForms, WindowIndex, wordForms } from '../e2e/leak/window-index.js';
import { loggedPuts } from '../support/level-log.js';
import { SeededRandom } from '../support/seeded-random.js';

const random = new SeededRandom(5);
const noise = (bytes: number): Buffer => random.bytes(bytes);
const delta = Float32Array.from({ length: 400 }, () => (random.uint32() / 2 ** 32 - 0.5) / 8);
const words = Uint32Array.from(delta, (value) => Math.round(value * 2 ** 28));
const bytesOf = (values: Float32Array | Float64Array | Uint32Array): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** A part of a secret between bytes that mean nothing, at a place that is no multiple of anything. */
const hidden = (secret: Buffer): Buffer => Buffer.concat([noise(10_001), secret, noise(5_003)]);

describe('the search for updates', () => {
  const windows = new WindowIndex([...floatForms('delta', delta), ...wordForms('words', words)]);
  const find = (bytes: Buffer): string[] =>
    decodings({ place: 'here', bytes }).flatMap((one) => windows.find(one));
  const part = delta.slice(100, 104);
  const forms: Readonly<Record<string, Buffer>> = {
    'two float32': bytesOf(part.slice(0, 2)),
    'float32, big-endian': Buffer.from(bytesOf(part)).swap32(),
    float64: bytesOf(Float64Array.from(part)),
    'float64, big-endian': Buffer.from(bytesOf(Float64Array.from(part))).swap64(),
    'two words': bytesOf(words.slice(7, 9)),
    'words, big-endian': Buffer.from(bytesOf(words.slice(7, 11))).swap32(),
    base64: Buffer.from(`"${bytesOf(part).toString('base64')}"`),
    'base64 of something longer': Buffer.from(
      Buffer.concat([noise(5), bytesOf(part), noise(4)]).toString('base64'),
    ),
    base64url: Buffer.from(bytesOf(part).toString('base64url')),
    hexadecimal: Buffer.from(bytesOf(part).toString('hex')),
    'base64 in base64': Buffer.from(
      Buffer.from(`{"payload":"${bytesOf(part).toString('base64')}"}`).toString('base64'),
    ),
  };

  for (const [form, bytes] of Object.entries(forms))
    it(`finds a part of one as ${form}`, () => {
      assert.notDeepEqual(find(hidden(bytes)), []);
    });

  it('finds nothing in a megabyte of noise', () => {
    assert.deepEqual(find(noise(2 ** 20)), []);
  });

  it('finds one that was multiplied by anything, in float32 and in words', () => {
    const index = new ProportionIndex([{ name: 'delta', values: delta }]);
    for (const factor of [0.37, -12, 1e-3]) {
      const scaled = delta.map((value) => value * factor);
      assert.notDeepEqual(index.find({ place: 'here', bytes: hidden(bytesOf(scaled)) }), []);
    }
    const rounded = Uint32Array.from(delta, (value) => Math.round(value * 12_345_678));
    assert.notDeepEqual(index.find({ place: 'here', bytes: hidden(bytesOf(rounded)) }), []);
    const noisy = delta.map((value) => value * (1 + random.uint32() / 2 ** 33));
    assert.deepEqual(index.find({ place: 'here', bytes: hidden(bytesOf(noisy)) }), []);
  });

  it('finds one that is written out', () => {
    const index = new DecimalIndex([{ name: 'delta', values: delta }]);
    const text = Buffer.from(`[${[...delta.slice(50, 60)].map((value) => value.toFixed(9)).join(', ')}]`);
    assert.equal(index.find({ place: 'here', bytes: hidden(text) }).length, 1);
    assert.deepEqual(index.find({ place: 'here', bytes: Buffer.from('[0.5, 0.25, 1.125, 3.75]') }), []);
  });

  it('tells masked words from others by their bytes, and by what they have in common with an update', () => {
    const many = Uint32Array.from({ length: 16_384 }, () => random.uint32());
    const plain = Int32Array.from(many, () => Math.round((random.uint32() / 2 ** 32 - 0.5) * 2 ** 26));
    const masked = many.map((word, index) => word + (plain[index] ?? 0));
    for (const byte of [0, 1, 2, 3] as const) assert.ok(unevenness(masked, byte) < 6);
    assert.ok(unevenness(Uint32Array.from(plain), 3) > 1_000);
    assert.ok(Math.abs(correlation(masked, plain)) < correlationBound(plain.length));
    const halfMasked = Int32Array.from(plain, (word, index) => word + ((many[index] ?? 0) % 2 ** 28));
    assert.ok(Math.abs(correlation(halfMasked, plain)) > correlationBound(plain.length));
  });

  it('reads what a database was once told from its log, over the ends of blocks', () => {
    const put = (key: string, value: Buffer): Buffer =>
      Buffer.concat([Buffer.from([1, key.length]), Buffer.from(key), varint(value.length), value]);
    const gone = Buffer.concat([Buffer.from([0, 1]), Buffer.from('a')]);
    const values = [noise(40_000), noise(3), noise(30_000)];
    const batches = [
      [put('a', values[0] ?? Buffer.alloc(0))],
      [gone, put('b', values[1] ?? Buffer.alloc(0))],
      [put('c', values[2] ?? Buffer.alloc(0))],
    ];
    const log = logOf(batches.map((operations) => Buffer.concat([Buffer.alloc(12), ...operations])));
    const puts = loggedPuts(log);
    assert.deepEqual(
      puts.map(({ key }) => key),
      ['a', 'b', 'c'],
    );
    puts.forEach(({ value }, index) => assert.ok(value.equals(values[index] ?? Buffer.alloc(0))));
    assert.equal(loggedPuts(log.subarray(0, -1)).length, 2, 'a torn end is left out');
  });
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** Batches as LevelDB lays them out: in blocks, a record cut at the end of each. */
function logOf(batches: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  const push = (bytes: Buffer): void => {
    parts.push(bytes);
    at += bytes.length;
  };
  for (const batch of batches) {
    for (let from = 0, isFirst = true; isFirst || from < batch.length; isFirst = false) {
      const room = 32_768 - (at % 32_768);
      if (room < 7) push(Buffer.alloc(room));
      const length = Math.min(batch.length - from, 32_768 - (at % 32_768) - 7);
      const isLast = from + length === batch.length;
      const header = Buffer.alloc(7);
      header.writeUInt16LE(length, 4);
      header.writeUInt8(isFirst ? (isLast ? 1 : 2) : isLast ? 4 : 3, 6);
      push(Buffer.concat([header, batch.subarray(from, from + length)]));
      from += length;
    }
  }
  return Buffer.concat(parts);
}
