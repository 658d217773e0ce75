import assert from 'node:assert/strict';

import {
  canonicalText,
  diffMutable,
  documentIdentity,
  MUTABLE_FIELDS,
  parseFederatedJob,
  signDocument,
  signingKeyFromSeed,
  verifyDocument,
  type JsonObject,
} from '@tributary/proto';
import nacl from 'tweetnacl';

import { altered, jobDocument } from '../../support/job-document.js';

const job = (): JsonObject => parseFederatedJob(jobDocument());
const text = (document: unknown): string => canonicalText(documentIdentity(document as JsonObject));

describe('identity of a document', () => {
  it('ignores the mutable fields and the labels, and nothing else of a job', () => {
    const document = job();
    const spec = document['spec'] as JsonObject;
    for (const field of Object.keys(spec)) {
      const changed = text(altered(document, `spec.${field}`, 'another')) !== text(document);
      assert.equal(changed, !(MUTABLE_FIELDS as readonly string[]).includes(field), field);
    }
    assert.equal(text(altered(document, 'metadata.labels', { team: 'risk' })), text(document));
    for (const path of [
      'apiVersion',
      'kind',
      'metadata.name',
      'spec.new',
      'spec.training.optimizer.learningRate',
    ]) {
      assert.notEqual(text(altered(document, path, 'another')), text(document), path);
    }
  });

  it('is the document as written: parsing may add defaults, the identity does not', () => {
    assert.notEqual(text(jobDocument()), text(job()));
    assert.equal(text(jobDocument()).includes('minSites'), false);
  });

  it('does not depend on the order of fields', () => {
    const { spec, ...rest } = job();
    const reversed = Object.fromEntries(Object.entries(spec as JsonObject).reverse());
    assert.equal(text({ spec: reversed, ...rest }), text(job()));
  });

  it('refuses what is no document', () => {
    for (const value of [
      {},
      { apiVersion: 'a', kind: 'b' },
      { apiVersion: 'a', kind: 'b', metadata: { name: 'c' }, spec: [] },
    ]) {
      assert.throws(() => documentIdentity(value), { code: 'DOCUMENT_INVALID' });
    }
  });
});

describe('signatures of documents', () => {
  const seed = new Uint8Array(32).fill(7);
  const key = signingKeyFromSeed(seed);

  it('cover the identity', () => {
    const signature = signDocument(job(), key);
    verifyDocument(job(), key.publicKey, signature);
    verifyDocument(altered(job(), 'spec.suspend', true) as JsonObject, key.publicKey, signature);
    const other = altered(job(), 'spec.rounds', 11) as JsonObject;
    assert.throws(() => verifyDocument(other, key.publicKey, signature), { code: 'SIGNATURE_INVALID' });
    const stranger = signingKeyFromSeed(new Uint8Array(32).fill(8)).publicKey;
    assert.throws(() => verifyDocument(job(), stranger, signature), { code: 'SIGNATURE_INVALID' });
  });

  it('are Ed25519 over the canonical transcript, as tweetnacl computes it', () => {
    const document = documentIdentity(job());
    const message = new TextEncoder().encode(canonicalText({ context: 'tributary.v1/document', document }));
    const expected = nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey);
    assert.deepEqual(signDocument(job(), key), expected);
  });
});

describe('diffMutable', () => {
  const current = parseFederatedJob(jobDocument());
  const changed = (path: string, value: unknown) => parseFederatedJob(altered(jobDocument(), path, value));

  it('is empty for the same job, however it is written', () => {
    assert.deepEqual(diffMutable(current, changed('spec.minSites', 2)), {});
  });

  it('gives the new values of mutable fields', () => {
    assert.deepEqual(diffMutable(current, changed('spec.suspend', true)), { suspend: true });
    const both = parseFederatedJob(
      altered(changed('spec.activeDeadlineSeconds', 60), 'spec.ttlSecondsAfterFinished', 5),
    );
    assert.deepEqual(diffMutable(current, both), { activeDeadlineSeconds: 60, ttlSecondsAfterFinished: 5 });
  });

  it('names the path of any other change', () => {
    const cases: readonly (readonly [string, unknown, string])[] = [
      ['metadata.name', 'other', 'metadata.name'],
      ['metadata.labels', { a: 'b' }, 'metadata.labels.a'],
      ['spec.rounds', 11, 'spec.rounds'],
      ['spec.features.0.scale', 2, 'spec.features[0].scale'],
      ['spec.features.0.impute', undefined, 'spec.features[0].impute'],
      ['spec.features', [{ name: 'x', type: 'Numeric' }], 'spec.features'],
      ['spec.training.optimizer', { type: 'Adam', learningRate: 0.1 }, 'spec.training.optimizer.type'],
    ];
    for (const [path, value, named] of cases) {
      assert.throws(() => diffMutable(current, changed(path, value)), {
        code: 'IMMUTABLE_FIELD',
        message: `${named}: may not change after apply; use another metadata.name`,
      });
    }
  });
});
