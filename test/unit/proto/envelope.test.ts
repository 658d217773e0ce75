import assert from 'node:assert/strict';

import {
  canonicalize,
  decodeEnvelopeHeader,
  drawEnvelopeSecrets,
  encodeEnvelopeHeader,
  EnvelopeOpener,
  EnvelopeWriter,
  LIMITS,
  roundKeyPair,
  signingKeyFromSeed,
  TagsDigest,
  verifyEnvelopeHeader,
  verifyEnvelopeSeal,
  type EnvelopeFields,
  type JsonObject,
} from '@tributary/proto';
import fc from 'fast-check';

import { patternBytes } from '../../support/bytes.js';
import { ENVELOPE_FIELDS, ENVELOPE_SECRETS, IDENTITY, ROUND_KEYS } from '../../support/envelope-fields.js';
import { refusal } from '../../support/refusal.js';

const plaintext = patternBytes(ENVELOPE_FIELDS.vectorLength * 4);

const writerOf = (fields: Partial<EnvelopeFields> = {}): EnvelopeWriter =>
  new EnvelopeWriter({ ...ENVELOPE_FIELDS, ...fields }, ROUND_KEYS.publicKey, ENVELOPE_SECRETS, IDENTITY);

async function write(writer: EnvelopeWriter, source: Iterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writer.writeAll(source)) chunks.push(chunk);
  return chunks;
}

function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

describe('envelope', () => {
  const writer = writerOf();
  let chunks: Uint8Array[] = [];
  before(async () => {
    chunks = await write(writer, [plaintext]);
  });
  const tagsOf = (received: readonly Uint8Array[]): TagsDigest => {
    const tags = new TagsDigest();
    for (const chunk of received) tags.add(chunk);
    return tags;
  };

  it('opens chunk by chunk with the secret key of the round, in any order', () => {
    const opener = new EnvelopeOpener(writer.headerBytes, ROUND_KEYS.secretKey);
    const opened = [2, 0, 1]
      .map((index) => [index, opener.open(index, chunks[index] ?? assert.fail())] as const)
      .sort(([a], [b]) => a - b);
    assert.deepEqual(Buffer.concat(opened.map(([, bytes]) => bytes)), Buffer.from(plaintext));
    assert.deepEqual(
      chunks.map((chunk) => chunk.length),
      [262_160, 262_160, 28],
    );
  });

  it('verifies header and seal with the identity key', () => {
    assert.deepEqual(
      verifyEnvelopeHeader(writer.headerBytes, writer.headerSignature, IDENTITY.publicKey),
      writer.header,
    );
    verifyEnvelopeSeal(writer.headerBytes, tagsOf(chunks), writer.seal(), IDENTITY.publicKey);
  });

  it('is the same bytes whatever pieces the plaintext comes in', async () => {
    for (const size of [1_000, 262_144, 300_001])
      assert.deepEqual(await write(writerOf(), pieces(plaintext, size)), chunks);
  });

  it('holds the plaintext nowhere', () => {
    const sealed = Buffer.concat([writer.headerBytes, ...chunks]);
    for (let start = 0; start < plaintext.length; start += 4_096) {
      assert.equal(sealed.indexOf(plaintext.subarray(start, start + 8)), -1);
    }
  });

  it('refuses a plaintext that is short or long', async () => {
    await assert.rejects(write(writerOf(), [plaintext.subarray(1)]), refusal('UPDATE_WRONG_SHAPE'));
    await assert.rejects(write(writerOf(), [plaintext, Uint8Array.of(1)]), refusal('UPDATE_WRONG_SHAPE'));
    assert.throws(() => writerOf().write(plaintext), refusal('UPDATE_WRONG_SHAPE'));
    assert.throws(() => writerOf().seal(), refusal('INTERNAL'));
    assert.throws(() => writer.write(new Uint8Array(0)), refusal('UPDATE_WRONG_SHAPE'));
  });

  it('refuses chunks that are altered, cut, moved, or of another envelope', async () => {
    const opener = new EnvelopeOpener(writer.headerBytes, ROUND_KEYS.secretKey);
    const [first, second, last] = chunks as [Uint8Array, Uint8Array, Uint8Array];
    fc.assert(
      fc.property(fc.nat({ max: last.length * 8 - 1 }), (bit) => {
        const flipped = Uint8Array.from(last);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.throws(() => opener.open(2, flipped), refusal('UPDATE_CORRUPT', /chunk 2/));
      }),
    );
    assert.throws(() => opener.open(1, first), refusal('UPDATE_CORRUPT'));
    assert.throws(() => opener.open(0, second), refusal('UPDATE_CORRUPT'));
    for (const length of [0, 4, 15, 16, 27])
      assert.throws(() => opener.open(2, last.subarray(0, length)), refusal('UPDATE_CORRUPT'));
    assert.throws(() => opener.open(2, Buffer.concat([last, Uint8Array.of(0)])), refusal('UPDATE_TOO_LARGE'));
    for (const index of [3, -1, 0.5])
      assert.throws(() => opener.open(index, last), refusal('UPDATE_TOO_LARGE'));
    const [foreign] = await write(writerOf({ round: 4 }), [plaintext]);
    assert.throws(() => opener.open(0, foreign ?? assert.fail()), refusal('UPDATE_CORRUPT'));
  });

  it('tells a whole vector from one that lost its end', async () => {
    // Two full chunks: the second is last in one envelope and not in the other, under the same keys and counter.
    const shorter = writerOf({ vectorLength: 2 * 65_536 });
    const [, end] = await write(shorter, [plaintext.subarray(0, 2 * 262_144)]);
    assert.throws(
      () => new EnvelopeOpener(writer.headerBytes, ROUND_KEYS.secretKey).open(1, end ?? assert.fail()),
      refusal('UPDATE_CORRUPT'),
    );
  });

  it('refuses another round key, header or signature', () => {
    const { secretKey } = roundKeyPair(new Uint8Array(32).fill(99));
    assert.throws(
      () => new EnvelopeOpener(writer.headerBytes, secretKey),
      refusal('UPDATE_CORRUPT', /round/),
    );
    const other = signingKeyFromSeed(new Uint8Array(32));
    assert.throws(
      () => verifyEnvelopeHeader(writer.headerBytes, writer.headerSignature, other.publicKey),
      refusal('SIGNATURE_INVALID'),
    );
    assert.throws(
      () =>
        verifyEnvelopeHeader(writerOf({ round: 4 }).headerBytes, writer.headerSignature, IDENTITY.publicKey),
      refusal('SIGNATURE_INVALID'),
    );
  });

  it('refuses a seal of other chunks, counts, headers or keys', () => {
    const seal = writer.seal();
    const verify = (received: readonly Uint8Array[], changed = seal, header = writer.headerBytes): void =>
      verifyEnvelopeSeal(header, tagsOf(received), changed, IDENTITY.publicKey);
    assert.throws(() => verify(chunks.slice(1)), refusal('UPDATE_CORRUPT', /2 of 3/));
    assert.throws(() => verify([...chunks].reverse()), refusal('UPDATE_CORRUPT'));
    assert.throws(() => verify(chunks, { ...seal, chunkCount: 2 }), refusal('UPDATE_CORRUPT'));
    assert.throws(
      () => verify(chunks, { ...seal, tagsDigest: new Uint8Array(32) }),
      refusal('UPDATE_CORRUPT'),
    );
    assert.throws(
      () => verify(chunks, { ...seal, tagsDigest: new Uint8Array(0) }),
      refusal('UPDATE_CORRUPT'),
    );
    assert.throws(
      () => verify(chunks, { ...seal, signature: new Uint8Array(64) }),
      refusal('SIGNATURE_INVALID'),
    );
    assert.throws(
      () => verify(chunks, seal, writerOf({ round: 4 }).headerBytes),
      refusal('SIGNATURE_INVALID'),
    );
  });

  it('draws fresh secrets of the right lengths', () => {
    let next = 0;
    const secrets = drawEnvelopeSecrets((length) => new Uint8Array(length).fill((next += 1)));
    assert.deepEqual(
      Object.values(secrets).map((secret: Uint8Array) => [secret.length, secret[0]]),
      [
        [32, 1],
        [32, 2],
        [24, 3],
        [7, 4],
      ],
    );
  });
});

describe('envelope header', () => {
  const { header } = writerOf();
  const decode = (changes: JsonObject): unknown =>
    decodeEnvelopeHeader(canonicalize({ ...header, ...changes }));

  it('reads back what it writes', () => {
    assert.deepEqual(decodeEnvelopeHeader(encodeEnvelopeHeader(header)), header);
  });

  it('knows the version of the data, where there is one', () => {
    const dataVersion = `hmac-sha256:${'ab'.repeat(32)}`;
    const { dataVersion: read } = decodeEnvelopeHeader(canonicalize({ ...header, dataVersion }));
    assert.equal(read, dataVersion);
    assert.equal('dataVersion' in decodeEnvelopeHeader(canonicalize(header)), false);
  });

  const refused: readonly (readonly [field: string, value: JsonObject[string]])[] = [
    ['wire', 'one'],
    ['dataVersion', `sha256:${'ab'.repeat(32)}`],
    ['logId', 'AA'.repeat(32)],
    ['jobId', 'job-1'],
    ['round', -1],
    ['attempt', 0.5],
    ['stage', '../x'],
    ['agentId', `job-${'0'.repeat(32)}`],
    ['site', 'North'],
    ['uploadId', ''],
    ['baseDigest', 'sha256:00'],
    ['layoutDigest', null],
    ['vectorLength', 0],
    ['chunkBytes', 262_146],
    ['chunkBytes', LIMITS.chunkBytes + 4],
    ['chunkBytes', 4],
    ['chunkCount', 4],
    ['ephemeralKey', 'AAAA'],
    ['keyNonce', 'not base64'],
    ['sealedKey', ''],
    ['noncePrefix', 'AAAAAAAAAB=='],
    ['formatVersion', 0],
    ['site', undefined],
  ];
  for (const [field, value] of refused) {
    it(`refuses ${field} = ${JSON.stringify(value) ?? 'missing'}`, () => {
      assert.throws(
        () => decode({ [field]: value }),
        refusal('INVALID_ARGUMENT', new RegExp(`header\\.${field}`)),
      );
    });
  }

  it('tells newer formats, other suites, unserved encodings and sizes apart', () => {
    assert.throws(() => decode({ formatVersion: 2 }), refusal('FORMAT_UNSUPPORTED'));
    assert.throws(() => decode({ suite: 'rot13' }), refusal('VERSION_UNSUPPORTED'));
    assert.throws(() => decode({ encoding: 'int8' }), refusal('DOCUMENT_UNSUPPORTED'));
    assert.throws(() => decode({ vectorLength: LIMITS.modelParameters * 2 }), refusal('UPDATE_TOO_LARGE'));
    assert.throws(() => decode({ extra: 1 }), refusal('INVALID_ARGUMENT', /header/));
    assert.throws(
      () => decodeEnvelopeHeader(canonicalize(['header'])),
      refusal('INVALID_ARGUMENT', /object/),
    );
    assert.throws(
      () => decodeEnvelopeHeader(new Uint8Array(LIMITS.envelopeHeaderBytes + 1)),
      refusal('LIMIT_EXCEEDED'),
    );
  });

  it('has chunks below 256 KiB from wire 1.3 on', () => {
    const small = {
      chunkBytes: LIMITS.firstChunkBytes,
      vectorLength: LIMITS.firstChunkBytes / 2,
      chunkCount: 2,
    };
    assert.doesNotThrow(() => decode({ ...small, wire: '1.3' }));
    for (const wire of ['1.2', '1.1'])
      assert.throws(
        () => decode({ ...small, wire }),
        refusal('INVALID_ARGUMENT', /header\.chunkBytes.*262144/),
      );
    const least = { ...small, chunkBytes: LIMITS.firstChunkBytes - 4, chunkCount: 3 };
    assert.throws(() => decode({ ...least, wire: '1.3' }), refusal('INVALID_ARGUMENT', /chunkBytes/));
  });

  it('is not written where it could not be read', () => {
    assert.throws(() => writerOf({ site: 'North' }), refusal('INVALID_ARGUMENT', /header\.site/));
    assert.throws(() => writerOf({ vectorLength: 0 }), refusal('INVALID_ARGUMENT', /vectorLength/));
  });
});
