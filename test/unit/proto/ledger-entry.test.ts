import assert from 'node:assert/strict';

import {
  canonicalize,
  decodeEntry,
  encodeEntry,
  ENTRY_TYPES,
  LIMITS,
  logIdOf,
  signingKeyFromSeed,
  signTreeHead,
  verifyTreeHead,
  type JsonObject,
  type LedgerEntry,
  type SignedTreeHead,
} from '@tributary/proto';

import { refusal } from '../../support/refusal.js';

const entry: LedgerEntry = {
  v: 1,
  seq: 7,
  time: '2026-01-02T03:04:05.678Z',
  actor: 'context/admin',
  type: 'job.suspended',
  subject: 'job/job-1',
  body: { jobId: 'job-1', reason: 'maintenance' },
};
const fields: JsonObject = { ...entry, seq: '7', body: { ...entry.body } };
const decode = (changes: JsonObject): LedgerEntry => decodeEntry(canonicalize({ ...fields, ...changes }));

describe('ledger entry', () => {
  it('is canonical JSON with its sequence as a string, and comes back', () => {
    const bytes = encodeEntry(entry);
    assert.equal(
      Buffer.from(bytes).toString('utf8'),
      '{"actor":"context/admin","body":{"jobId":"job-1","reason":"maintenance"},"seq":"7","subject":"job/job-1",' +
        '"time":"2026-01-02T03:04:05.678Z","type":"job.suspended","v":1}',
    );
    assert.deepEqual(decodeEntry(bytes), entry);
  });

  const corrupt: readonly (readonly [what: string, changes: JsonObject])[] = [
    ['no version', { v: undefined }],
    ['version 0', { v: 0 }],
    ['a numeric sequence', { seq: 7 }],
    ['a negative sequence', { seq: '-1' }],
    ['a sequence that is no safe integer', { seq: '9007199254740993' }],
    ['a leading zero', { seq: '07' }],
    ['a local time', { time: '2026-01-02T03:04:05.678+01:00' }],
    ['a time without milliseconds', { time: '2026-01-02T03:04:05Z' }],
    ['an unknown type', { type: 'job.exploded' }],
    ['a type of every object', { type: 'toString' }],
    ['the body of another type', { type: 'job.resumed' }],
    ['a body field missing', { body: { jobId: 'job-1' } }],
    ['no body', { body: undefined }],
    ['an unknown field', { extra: 1 }],
  ];
  for (const [what, changes] of corrupt) {
    it(`is corrupt with ${what}`, () =>
      assert.throws(() => decode(changes), refusal('STORE_CORRUPT', /^not a ledger entry/)));
  }

  it('is refused from a newer version, whatever its fields', () => {
    assert.throws(() => decode({ v: 2, extra: 1 }), refusal('FORMAT_UNSUPPORTED', /version 2/));
  });

  it('is corrupt where it is no canonical JSON, and limited in size', () => {
    for (const text of ['', '{}', '[]', 'null', ' {}'])
      assert.throws(() => decodeEntry(Buffer.from(text)), refusal('STORE_CORRUPT'));
    assert.throws(() => decodeEntry(new Uint8Array(LIMITS.ledgerEntryBytes + 1)), refusal('STORE_CORRUPT'));
    const large: LedgerEntry = {
      ...entry,
      type: 'job.submitted',
      body: {
        jobId: 'job-1',
        name: 'loans',
        document: 'x'.repeat(LIMITS.ledgerEntryBytes),
        authorKey: '',
        signature: '',
      },
    };
    assert.throws(() => encodeEntry(large), refusal('LIMIT_EXCEEDED'));
  });

  it('has every type that PROTOCOL names, once', () => {
    assert.equal(new Set(ENTRY_TYPES).size, ENTRY_TYPES.length);
    for (const type of [
      'agent.enrolled',
      'agent.revoked',
      'job.submitted',
      'round.opened',
      'update.accepted',
      'update.refused',
      'round.committed',
    ]) {
      assert.ok((ENTRY_TYPES as readonly string[]).includes(type), type);
    }
  });
});

describe('signed tree head', () => {
  const key = signingKeyFromSeed(new Uint8Array(32).fill(1));
  const head = signTreeHead(key, {
    logId: logIdOf(key.publicKey),
    treeSize: 5,
    rootHash: new Uint8Array(32).fill(9),
    time: '2026-01-02T03:04:05.678Z',
  });
  const refused = (changes: Partial<SignedTreeHead>, code: 'SIGNATURE_INVALID' | 'INVALID_ARGUMENT'): void =>
    assert.throws(() => verifyTreeHead(key.publicKey, { ...head, ...changes }), refusal(code));

  it('verifies with the key of its log', () => {
    verifyTreeHead(key.publicKey, head);
    assert.match(head.logId, /^[0-9a-f]{64}$/);
  });

  it('covers each of its fields', () => {
    refused({ treeSize: 6 }, 'SIGNATURE_INVALID');
    refused({ rootHash: new Uint8Array(32) }, 'SIGNATURE_INVALID');
    refused({ time: '2026-01-02T03:04:05.679Z' }, 'SIGNATURE_INVALID');
    refused({ logId: '00'.repeat(32) }, 'SIGNATURE_INVALID');
    refused({ signature: new Uint8Array(64) }, 'SIGNATURE_INVALID');
  });

  it('of another key is of another log', () => {
    const other = signingKeyFromSeed(new Uint8Array(32).fill(2));
    assert.throws(() => verifyTreeHead(other.publicKey, head), refusal('SIGNATURE_INVALID', /another log/));
    assert.throws(() => signTreeHead(other, head), refusal('INTERNAL'));
  });

  it('is refused malformed before its signature is looked at', () => {
    for (const treeSize of [-1, 0.5, 2 ** 53]) refused({ treeSize }, 'INVALID_ARGUMENT');
    refused({ rootHash: new Uint8Array(31) }, 'INVALID_ARGUMENT');
    refused({ time: 'yesterday' }, 'INVALID_ARGUMENT');
  });
});
