import assert from 'node:assert/strict';
import { createDecipheriv, hkdfSync } from 'node:crypto';

import { verifySignature } from '@tributary/proto';
import { openContentKey } from '@tributary/proto/internal/envelope/round-key.js';
import { StreamCipher } from '@tributary/proto/internal/sealing/stream-cipher.js';
import { z } from 'zod';

import { NO_ORACLES, readOracle } from '../../support/oracles.js';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

const sample = <T extends z.ZodType>(vector: T) => z.object({ sample: z.array(vector) });
const result = z.enum(['valid', 'invalid', 'acceptable']);
const schema = z.object({
  wycheproof: z.object({
    files: z.object({
      ed25519_test: sample(
        z.object({
          publicKey: z.object({ pk: z.string() }),
          msg: z.string(),
          sig: z.string(),
          result,
          tcId: z.int(),
        }),
      ),
      aes_gcm_test: sample(
        z.object({
          keySize: z.int(),
          ivSize: z.int(),
          tagSize: z.int(),
          key: z.string(),
          iv: z.string(),
          aad: z.string(),
          msg: z.string(),
          ct: z.string(),
          tag: z.string(),
          result,
          tcId: z.int(),
        }),
      ),
      hkdf_sha256_test: sample(
        z.object({
          ikm: z.string(),
          salt: z.string(),
          info: z.string(),
          size: z.int(),
          okm: z.string(),
          result,
        }),
      ),
    }),
  }),
  tweetnacl: z.object({
    box_empty_and_one_byte: z.array(z.tuple([z.string(), z.string(), z.string(), z.string()])),
  }),
});

/** Project Wycheproof (C2SP/wycheproof, testvectors_v1) and tweetnacl-js test data. */
const oracle = readOracle('crypto_vectors.json');

describe(`crypto oracles${oracle === undefined ? ` (not run: ${NO_ORACLES})` : ''}`, function () {
  before(function () {
    if (oracle === undefined) this.skip();
  });

  const vectors = (): z.infer<typeof schema> => schema.parse(oracle);

  it('Ed25519 agrees with Wycheproof', () => {
    const { sample: cases } = vectors().wycheproof.files.ed25519_test;
    assert.ok(cases.length >= 10);
    for (const { publicKey, msg, sig, result: expected, tcId } of cases) {
      assert.equal(
        verifySignature(hex(publicKey.pk), hex(msg), hex(sig)),
        expected === 'valid',
        `case ${String(tcId)}`,
      );
    }
  });

  it('AES-256-GCM as the stream cipher calls it agrees with Wycheproof', () => {
    const { sample: all } = vectors().wycheproof.files.aes_gcm_test;
    const cases = all.filter(
      (vector) => vector.keySize === 256 && vector.ivSize === 96 && vector.tagSize === 128,
    );
    for (const { key, iv, aad, ct, tag, msg, result: expected, tcId } of cases) {
      const decipher = createDecipheriv('aes-256-gcm', hex(key), hex(iv), { authTagLength: 16 });
      decipher.setAAD(hex(aad));
      decipher.setAuthTag(hex(tag));
      const open = (): string => Buffer.concat([decipher.update(hex(ct)), decipher.final()]).toString('hex');
      if (expected === 'valid') assert.equal(open(), msg, `case ${String(tcId)}`);
      else assert.throws(open, `case ${String(tcId)}`);
    }
    // Those whose nonce has the form prefix || index || last go through the cipher itself.
    for (const { key, iv, aad, ct, tag, msg, result: expected } of cases.filter((vector) =>
      /0[01]$/.test(vector.iv),
    )) {
      const cipher = new StreamCipher(hex(key), hex(iv).subarray(0, 7), hex(aad));
      const index = Buffer.from(iv, 'hex').readUInt32BE(7);
      const plaintext = cipher.open(index, iv.endsWith('1'), hex(ct + tag));
      assert.equal(
        plaintext === undefined ? undefined : Buffer.from(plaintext).toString('hex'),
        expected === 'valid' ? msg : undefined,
      );
    }
  });

  it('HKDF-SHA256 agrees with Wycheproof', () => {
    const { sample: cases } = vectors().wycheproof.files.hkdf_sha256_test;
    for (const { ikm, salt, info, size, okm, result: expected } of cases) {
      if (expected !== 'valid') continue;
      assert.equal(
        Buffer.from(hkdfSync('sha256', hex(ikm), hex(salt), hex(info), size)).toString('hex'),
        okm,
      );
    }
  });

  it('content keys open as tweetnacl boxes do', () => {
    for (const [publicKey, secretKey, message, box] of vectors().tweetnacl.box_empty_and_one_byte) {
      const opened = openContentKey(base64(box), new Uint8Array(24), base64(publicKey), base64(secretKey));
      assert.ok(opened);
      assert.equal(Buffer.from(opened).toString('base64'), message);
    }
  });
});
