import assert from 'node:assert/strict';

import {
  bytesToFloat32,
  canonicalize,
  decodeCheckpoint,
  decodeEntry,
  decodeEnvelopeHeader,
  decodeJoinToken,
  encodeCheckpoint,
  encodeEntry,
  Accumulator,
  EnvelopeOpener,
  EnvelopeWriter,
  openBytes,
  parseCanonical,
  parseLayout,
  sealBytes,
  TributaryError,
  verifyEnvelopeHeader,
} from '@tributary/proto';

import { mutateBytes } from '../../fuzz/mutations.js';
import { ENVELOPE_FIELDS, ENVELOPE_SECRETS, IDENTITY, ROUND_KEYS } from '../../support/envelope-fields.js';
import { ENTRY, SEALED } from '../../support/golden-vectors.js';
import { SeededRandom } from '../../support/seeded-random.js';

const RUNS = 1_000;
const writer = new EnvelopeWriter(
  { ...ENVELOPE_FIELDS, vectorLength: 8 },
  ROUND_KEYS.publicKey,
  ENVELOPE_SECRETS,
  IDENTITY,
);
const chunk = writer.write(new Uint8Array(32));
const opener = new EnvelopeOpener(writer.headerBytes, ROUND_KEYS.secretKey);
const layout = canonicalize({
  tensors: [{ name: 'a', shape: [2, 2], dtype: 'float32', offset: 0 }],
  length: 4,
});
const checkpoint = Buffer.concat([...encodeCheckpoint(new Accumulator({ length: 4, range: 64 }), ['upl-1'])]);

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** Each decoder with bytes that it takes. */
const DECODERS: readonly (readonly [
  name: string,
  valid: Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
])[] = [
  ['canonical JSON', layout, (bytes) => parseCanonical(bytes, 4_096)],
  ['layout', layout, (bytes) => parseLayout(parseCanonical(bytes, 4_096))],
  ['ledger entry', encodeEntry(ENTRY), decodeEntry],
  ['envelope header', writer.headerBytes, decodeEnvelopeHeader],
  [
    'signed header',
    writer.headerBytes,
    (bytes) => verifyEnvelopeHeader(bytes, writer.headerSignature, IDENTITY.publicKey),
  ],
  ['envelope opener', writer.headerBytes, (bytes) => new EnvelopeOpener(bytes, ROUND_KEYS.secretKey)],
  ['envelope chunk', chunk, (bytes) => opener.open(0, bytes)],
  ['float32 values', new Uint8Array(16), (bytes) => bytesToFloat32(bytes)],
  ['sealed bytes', sealBytes(SEALED, layout), (bytes) => openBytes(SEALED, bytes)],
  [
    'checkpoint',
    checkpoint,
    (bytes) => decodeCheckpoint(once(bytes), new Accumulator({ length: 4, range: 64 })),
  ],
  ['join token', Buffer.from('trib1.e30'), (bytes) => decodeJoinToken(Buffer.from(bytes).toString('utf8'))],
];

describe('decoders of the contract', () => {
  for (const [name, valid, decode] of DECODERS) {
    it(`${name}: damaged bytes are read or refused with a code, never anything else`, async () => {
      const random = new SeededRandom(1);
      for (let run = 0; run < RUNS; run += 1) {
        const damaged = mutateBytes(random, valid);
        try {
          await decode(damaged);
        } catch (error) {
          assert.ok(error instanceof TributaryError, `${String(error)} for ${damaged.toString('hex')}`);
          assert.notEqual(error.code, 'INTERNAL', damaged.toString('hex'));
          assert.ok(error.message.length < 1_000, 'a message does not carry the input');
        }
      }
    });
  }
});
