import {
  bytesToFloat32,
  digestOf,
  EnvelopeOpener,
  FLOAT32_BYTES,
  LIMITS,
  TagsDigest,
  TributaryError,
  UpdateCheck,
  verifyEnvelopeSeal,
  type Digest,
  type EnvelopeHeader,
} from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { Spool, SpoolHeader, SpoolStore } from '../ports.js';
import { refOf, type RoundRef } from './round-ref.js';
import { shapeOf, vectorsOf } from './round-vectors.js';
import type { UploadSeal } from './upload.js';

/** Plaintext of the chunk at work: verification is synchronous, so one buffer serves all sessions. */
const scratch = new Float32Array(LIMITS.chunkBytes / FLOAT32_BYTES);

/** Whoever may push to a session; a newer stream takes the session over. */
export type Holder = symbol;

/**
 * One update being received: verifies each chunk, then spools its ciphertext. It outlives broken streams, so that a
 * resumed one goes on where the last ended; after a restart it is rebuilt from the spool.
 */
export class UploadSession {
  readonly ref: RoundRef;
  readonly spooled: SpoolHeader;
  readonly headerDigest: Digest;
  readonly #opener: EnvelopeOpener;
  /** Undefined where the words are masked: whatever they are, they cannot be judged. */
  readonly #check: UpdateCheck | undefined;
  readonly #tags = new TagsDigest();
  readonly #spools: SpoolStore;
  #spool: Spool | undefined;
  #bytes = 0;
  #holder: Holder | undefined;
  #ended: TributaryError | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    spooled: SpoolHeader,
    secret: Uint8Array,
    job: JobState,
    round: RoundState,
    spools: SpoolStore,
  ) {
    this.ref = refOf(round);
    this.spooled = spooled;
    this.headerDigest = digestOf(spooled.header);
    this.#opener = new EnvelopeOpener(spooled.header, secret);
    this.#check = checkOf(job, round, this.header.site);
    this.#spools = spools;
  }

  /** A session with nothing received yet. Rejects with UPDATE_CORRUPT where the content key does not open. */
  static async create(
    spooled: SpoolHeader,
    secret: Uint8Array,
    job: JobState,
    round: RoundState,
    spools: SpoolStore,
  ): Promise<UploadSession> {
    const session = new UploadSession(spooled, secret, job, round, spools);
    session.#spool = await spools.create(spooled, session.header.chunkBytes);
    return session;
  }

  /**
   * A session rebuilt from its spool, up to the first chunk that does not verify: a crash of the machine left it out.
   * Undefined where not even the header does; the spool is closed then.
   */
  static async rebuild(
    spool: Spool,
    secret: Uint8Array,
    job: JobState,
    round: RoundState,
    spools: SpoolStore,
  ): Promise<UploadSession | undefined> {
    try {
      const session = new UploadSession(spool.header, secret, job, round, spools);
      await session.#verifySpool(spool);
      session.#spool = spool;
      return session;
    } catch (error) {
      await spool.close();
      if (TributaryError.from(error).code.startsWith('UPDATE_')) return undefined;
      throw error;
    }
  }

  get header(): EnvelopeHeader {
    return this.#opener.header;
  }

  get nextChunk(): number {
    return this.#tags.count;
  }

  /** Bytes of ciphertext and tags received. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Gives the session to a new stream; an older one is told CONFLICT at its next call. Undefined where the spool does not
   * hold what was received (a write had failed): the session is of no use then.
   */
  async take(): Promise<Holder | undefined> {
    const holder = Symbol('stream');
    this.#holder = holder;
    await this.#writing.catch(() => undefined);
    this.#spool ??= await this.#spools.open(this.spooled.uploadId);
    return this.#spool?.chunkCount() === this.nextChunk ? holder : undefined;
  }

  /** Verifies and spools chunk `index`; what was received before is skipped. The write goes on after it resolves. */
  async push(holder: Holder, index: number, chunk: Uint8Array): Promise<void> {
    await this.#settled(holder);
    if (index < this.nextChunk) return;
    if (index > this.nextChunk) {
      throw new TributaryError('INVALID_ARGUMENT', `chunk.index: ${String(this.nextChunk)} is expected`, {
        fields: { field: 'chunk.index' },
      });
    }
    this.#verify(chunk);
    this.#writing = this.#openSpool().append(chunk);
    // Reported by the next call; without a handler of its own an early failure would end the process.
    this.#writing.catch(() => undefined);
  }

  /** Verifies the seal and makes the spool durable. */
  async seal(holder: Holder, seal: UploadSeal, identityKey: Uint8Array): Promise<void> {
    await this.#settled(holder);
    verifyEnvelopeSeal(this.spooled.header, this.#tags, seal, identityKey);
    this.#check?.finish();
    await this.#openSpool().sync();
    this.#requireHolder(holder);
  }

  /** The stream of `holder` ended: the file is closed until another stream comes. */
  async release(holder: Holder): Promise<void> {
    await this.#writing.catch(() => undefined);
    if (this.#holder !== holder) return;
    this.#holder = undefined;
    await this.#closeSpool();
  }

  /** Ends the session: its stream is told `reason` at its next call. Resolves when nothing is written any more. */
  async end(reason: TributaryError): Promise<void> {
    this.#ended ??= reason;
    await this.#writing.catch(() => undefined);
    await this.#closeSpool();
  }

  async #verifySpool(spool: Spool): Promise<void> {
    try {
      for await (const chunk of spool.chunks()) this.#verify(chunk);
    } catch (error) {
      if (TributaryError.from(error).code !== 'UPDATE_CORRUPT') throw error;
      await spool.truncate(this.nextChunk);
    }
  }

  #verify(chunk: Uint8Array): void {
    const plaintext = this.#opener.open(this.nextChunk, chunk);
    this.#check?.push(bytesToFloat32(plaintext, scratch));
    this.#tags.add(chunk);
    this.#bytes += chunk.length;
  }

  async #settled(holder: Holder): Promise<void> {
    this.#requireHolder(holder);
    await this.#writing;
    this.#requireHolder(holder);
  }

  #requireHolder(holder: Holder): void {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#holder !== holder) throw new TributaryError('CONFLICT', 'a newer stream took the upload over');
  }

  #openSpool(): Spool {
    if (this.#spool === undefined) throw new TributaryError('INTERNAL', 'the spool of an upload is closed');
    return this.#spool;
  }

  async #closeSpool(): Promise<void> {
    const spool = this.#spool;
    this.#spool = undefined;
    await spool?.close();
  }
}

function checkOf(job: JobState, round: RoundState, site: string): UpdateCheck | undefined {
  if (round.secure !== undefined) return undefined;
  const { tail, bounds } = vectorsOf(job, round);
  const { parameters } = shapeOf(job, round);
  return new UpdateCheck({ parameters, ...tail }, { ...bounds, site });
}
