import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

import {
  Accumulator,
  decodeCheckpoint,
  decodeEntry,
  decodeHex,
  decodeJoinToken,
  EnvelopeOpener,
  openBytes,
  verifyEnvelopeHeader,
  verifyTreeHead,
} from '@tributary/proto';

import { patternBytes } from '../../support/bytes.js';
import { IDENTITY, ROUND_KEYS } from '../../support/envelope-fields.js';
import { ENTRY, GOLDEN, SEALED, type GoldenVectors } from '../../support/golden-vectors.js';

const folder = new URL('../../../data/golden/', import.meta.url);

function golden(name: string): (label: string) => string {
  const vectors = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as GoldenVectors;
  return (label) => vectors[label] ?? assert.fail(`${name}.json has no ${label}`);
}

const bytes = (hex: string): Uint8Array => decodeHex(hex, 'golden');

describe('golden vectors', () => {
  it('are one file per codec', () => {
    assert.deepEqual(
      readdirSync(folder).sort(),
      Object.keys(GOLDEN)
        .map((name) => `${name}.json`)
        .sort(),
    );
  });

  for (const [name, vectors] of Object.entries(GOLDEN)) {
    it(`${name}: this build writes the same bytes`, async () => {
      assert.deepEqual(await vectors(), JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')));
    });
  }

  it('ledger: this build reads the entry and verifies the tree head', () => {
    const read = golden('ledger');
    assert.deepEqual(decodeEntry(Buffer.from(read('entry'))), ENTRY);
    verifyTreeHead(bytes(read('logKey')), {
      logId: read('logId'),
      treeSize: 13,
      rootHash: bytes(read('rootOf13')),
      time: ENTRY.time,
      signature: bytes(read('treeHeadSignature')),
    });
  });

  it('envelope: this build verifies the header and opens the last chunk', () => {
    const read = golden('envelope');
    const header = Buffer.from(read('header'));
    const { vectorLength } = verifyEnvelopeHeader(header, bytes(read('headerSignature')), IDENTITY.publicKey);
    const opened = new EnvelopeOpener(header, ROUND_KEYS.secretKey).open(2, bytes(read('chunk2')));
    assert.deepEqual(Buffer.from(opened), Buffer.from(patternBytes(vectorLength * 4).subarray(-12)));
  });

  it('sealing, checkpoint and join token: this build reads them', async () => {
    assert.deepEqual(openBytes(SEALED, bytes(golden('sealing')('sealed'))), patternBytes(40));
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(bytes(golden('accumulator')('checkpoint')));
    };
    const accumulator = new Accumulator({ length: 5, range: 64 });
    await decodeCheckpoint(source(), accumulator);
    assert.equal(
      accumulator
        .rawSums()
        .flatMap((sums) => [...sums])
        .join(' '),
      golden('accumulator')('sums'),
    );
    assert.equal(decodeJoinToken(golden('join-token')('token')).enrolAddress, '[::1]:7444');
  });
});
