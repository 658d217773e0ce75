import { ByteReader } from '../byte-reader.js';
import { encodeBase64, requireLength } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { StreamCipher } from '../sealing/stream-cipher.js';
import type { SigningKey } from '../signing/ed25519.js';
import { sha256 } from '../signing/hash.js';
import {
  chunkCountOf,
  encodeEnvelopeHeader,
  ENVELOPE_VERSION,
  plaintextBytesOf,
  SUITE,
  type EnvelopeHeader,
} from './header.js';
import { roundKeyPair, sealContentKey } from './round-key.js';
import { envelopeHeaderTranscript, signEnvelopeSeal, TagsDigest, type EnvelopeSeal } from './seal.js';

/** What the sender decides about an envelope; the writer adds formats, counts and keys. */
export type EnvelopeFields = Pick<
  EnvelopeHeader,
  | 'wire'
  | 'logId'
  | 'jobId'
  | 'round'
  | 'attempt'
  | 'stage'
  | 'agentId'
  | 'site'
  | 'uploadId'
  | 'baseDigest'
  | 'layoutDigest'
  | 'vectorLength'
> & {
  readonly chunkBytes?: number;
  readonly dataVersion?: string;
  readonly encoding?: EnvelopeHeader['encoding'];
};

/** Fresh randomness of one envelope. A new plaintext needs all of it anew, and a new upload id. */
export interface EnvelopeSecrets {
  /** 32 bytes. */
  readonly contentKey: Uint8Array;
  /** 32 bytes: secret half of the ephemeral Curve25519 key. */
  readonly ephemeralSecret: Uint8Array;
  /** 24 bytes. */
  readonly keyNonce: Uint8Array;
  /** 7 bytes. */
  readonly noncePrefix: Uint8Array;
}

/** Draws the randomness of an envelope from a cryptographic source. */
export function drawEnvelopeSecrets(random: (length: number) => Uint8Array): EnvelopeSecrets {
  return {
    contentKey: random(32),
    ephemeralSecret: random(32),
    keyNonce: random(24),
    noncePrefix: random(7),
  };
}

/** Writes one envelope: header, then each chunk once and in order, then the seal. */
export class EnvelopeWriter {
  readonly header: EnvelopeHeader;
  /** Canonical JSON of the header: what is sent and stored. */
  readonly headerBytes: Uint8Array;
  /** Ed25519 over the "envelope-header" transcript. */
  readonly headerSignature: Uint8Array;
  readonly #cipher: StreamCipher;
  readonly #signer: Pick<SigningKey, 'sign'>;
  readonly #tags = new TagsDigest();

  /** `roundKey` is the public key of the round, `signer` the identity key of the agent. */
  constructor(
    fields: EnvelopeFields,
    roundKey: Uint8Array,
    secrets: EnvelopeSecrets,
    signer: Pick<SigningKey, 'sign'>,
  ) {
    const { chunkBytes = LIMITS.chunkBytes, ...named } = fields;
    const { contentKey, ephemeralSecret, keyNonce, noncePrefix } = secrets;
    requireLength(roundKey, 32, 'roundKey');
    this.header = {
      ...named,
      formatVersion: ENVELOPE_VERSION,
      suite: SUITE,
      encoding: fields.encoding ?? 'f32',
      chunkBytes,
      chunkCount: chunkCountOf(fields.vectorLength, chunkBytes),
      ephemeralKey: encodeBase64(roundKeyPair(ephemeralSecret).publicKey),
      keyNonce: encodeBase64(keyNonce),
      sealedKey: encodeBase64(sealContentKey(contentKey, keyNonce, roundKey, ephemeralSecret)),
      noncePrefix: encodeBase64(noncePrefix),
    };
    this.headerBytes = encodeEnvelopeHeader(this.header);
    this.headerSignature = signer.sign(envelopeHeaderTranscript(this.header));
    this.#cipher = new StreamCipher(contentKey, noncePrefix, sha256(this.headerBytes));
    this.#signer = signer;
  }

  /** Ciphertext and tag of the next chunk; `plaintext` has the length that the header implies, else UPDATE_WRONG_SHAPE. */
  write(plaintext: Uint8Array): Uint8Array {
    const index = this.#tags.count;
    if (index >= this.header.chunkCount || plaintext.length !== plaintextBytesOf(this.header, index))
      throw wrongLength(this.header);
    const chunk = this.#cipher.seal(index, index === this.header.chunkCount - 1, plaintext);
    this.#tags.add(chunk);
    return chunk;
  }

  /** Chunks of a plaintext that comes in pieces of any length. Throws UPDATE_WRONG_SHAPE where it is too short or long. */
  async *writeAll(
    plaintext: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = new ByteReader(plaintext, () => wrongLength(this.header));
    try {
      while (this.#tags.count < this.header.chunkCount) {
        yield this.write(await reader.take(plaintextBytesOf(this.header, this.#tags.count)));
      }
      if (!(await reader.atEnd())) throw wrongLength(this.header);
    } finally {
      await reader.close();
    }
  }

  /** After the last chunk; throws INTERNAL before. */
  seal(): EnvelopeSeal {
    if (this.#tags.count !== this.header.chunkCount)
      throw new TributaryError('INTERNAL', 'sealed before the last chunk');
    return signEnvelopeSeal(this.headerBytes, this.#tags, this.#signer);
  }
}

function wrongLength(header: EnvelopeHeader): TributaryError {
  return new TributaryError(
    'UPDATE_WRONG_SHAPE',
    `the plaintext is not ${String(header.vectorLength)} elements of 4 bytes`,
  );
}
