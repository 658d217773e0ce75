import { randomBytes } from 'node:crypto';

import {
  decodeBase64,
  decodeEntry,
  drawEnvelopeSecrets,
  encodeUpdate,
  EnvelopeWriter,
  FLOAT32_BYTES,
  float32ToBytes,
  formatId,
  LIMITS,
  ringLength,
  roundVectors,
  tailLength,
  type EnvelopeFields,
  type LedgerEntry,
  type SigningKey,
} from '@tributary/proto';
import type { AgentConnection, Goodbye } from '@tributary/coordinator/internal/app/agent-connection.js';
import type { Order } from '@tributary/coordinator/internal/app/order.js';
import type {
  ReceivingUpload,
  UploadOffer,
  UploadReceipt,
  UploadSeal,
} from '@tributary/coordinator/internal/app/upload.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';
import { placeFigures } from '@tributary/edge-agent/internal/domain/metrics/placement.js';

import { SeededRandom } from './seeded-random.js';
import type { TrainingWorld } from './training-world.js';

/** A finished envelope: written once, sent as often as needed. */
export interface WrittenUpdate {
  readonly offer: UploadOffer;
  readonly chunks: readonly Uint8Array[];
  readonly seal: UploadSeal;
}

export interface UpdateOptions {
  /** Replaces the vector of {@link SimulatedAgent.vector}. */
  readonly values?: Float32Array;
  /** Travels as it is, instead of any values: words of the ring. */
  readonly bytes?: Uint8Array;
  readonly fields?: Partial<EnvelopeFields>;
  /** Signs instead of the agent. */
  readonly signer?: SigningKey;
  readonly roundKey?: Uint8Array;
}

interface AgentParts {
  readonly world: TrainingWorld;
  readonly site: string;
  readonly agentId: string;
  readonly identity: SigningKey;
}

/** An agent that trains nothing: its delta follows from site and round, so that every run of a job is the same. */
export class SimulatedAgent {
  readonly site: string;
  readonly agentId: string;
  readonly identity: SigningKey;
  readonly orders: Order[] = [];
  readonly goodbyes: Goodbye[] = [];
  /** Set to upload by itself when it is ordered to train. */
  automatic = false;
  /** Told of each order as it comes. */
  heard: (order: Order) => void = () => undefined;
  /** Whether it answers rounds of evaluation by itself, automatic or not. */
  evaluates = true;
  readonly #world: TrainingWorld;
  readonly #written = new Map<string, WrittenUpdate>();
  #connection: AgentConnection | undefined;
  #epoch = 0n;

  constructor({ world, site, agentId, identity }: AgentParts) {
    this.#world = world;
    this.site = site;
    this.agentId = agentId;
    this.identity = identity;
  }

  get connection(): AgentConnection {
    if (this.#connection === undefined) throw new Error(`${this.site} is not connected`);
    return this.#connection;
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  connect(epoch = (this.#epoch += 1n)): void {
    const hello = {
      sessionEpoch: epoch,
      knownSize: 0,
      software: 'test',
      backend: 'none',
      datasets: [],
    };
    this.#connection = this.#world.training.agents.attach(this.agentId, hello, {
      order: (order) => this.#ordered(order),
      goodbye: (goodbye) => this.goodbyes.push(goodbye),
    });
  }

  heartbeat(): void {
    this.#connection?.heartbeat();
  }

  /** The coordinator is gone. */
  disconnected(): void {
    this.#connection = undefined;
  }

  /** Types of the last entries of the orders so far: what the agent was told to do. */
  told(): LedgerEntry['type'][] {
    return this.orders.map((order) => lastEntry(order).type);
  }

  /** A plausible update vector for a round: a delta within the clipping norm, and the tail. */
  vector(round: RoundState): Float32Array {
    const { spec } = this.#world.job(round.jobId).document;
    const { tail: shape, bounds } = roundVectors(spec, [...round.cohort.keys()], round.kind);
    const random = new SeededRandom(round.round * 1_000 + this.site.length * 31 + this.site.charCodeAt(0));
    const tail = tailLength(shape);
    const others = round.secure === undefined ? tail : ringLength({ parameters: 0, tail });
    const delta = Float32Array.from(
      { length: round.vectorLength - others },
      () => random.uint32() / 2 ** 32 - (round.kind === 'Statistics' ? 0 : 0.5),
    );
    const heldOut = spec.evaluation.holdOutSite === this.site;
    const trainExamples = heldOut || shape.trains === false ? 0 : 100 + random.below(20_000);
    const loss = random.uint32() / 2 ** 32;
    const all = {
      examples: 50 + random.below(100),
      metrics: Object.fromEntries(shape.metrics.map((name) => [name, random.uint32() / 2 ** 32])),
      variances: Object.fromEntries(shape.metrics.map((name) => [name, 0.01])),
    };
    const groups = placeFigures(shape, this.site, { all });
    return encodeUpdate(delta, { trainExamples, loss, groups }, shape, bounds);
  }

  /** A new envelope for the round, correct unless the options break it. */
  write(
    round: RoundState,
    { values, bytes: words, fields = {}, signer = this.identity, roundKey }: UpdateOptions = {},
  ): WrittenUpdate {
    const bytes = words ?? float32ToBytes(values ?? this.vector(round));
    const all: EnvelopeFields = {
      wire: '1.2',
      logId: this.#world.federation.logId,
      jobId: round.jobId,
      round: round.round,
      attempt: round.attempt,
      stage: 'collect',
      agentId: this.agentId,
      site: this.site,
      uploadId: formatId('upl', randomBytes(16)),
      baseDigest: round.baseDigest,
      layoutDigest: round.layoutDigest,
      vectorLength: bytes.length / FLOAT32_BYTES,
      chunkBytes: LIMITS.minChunkBytes,
      ...fields,
    };
    const key = roundKey ?? decodeBase64(round.roundKey, 'roundKey');
    const writer = new EnvelopeWriter(all, key, drawEnvelopeSecrets(randomBytes), signer);
    const chunkBytes = all.chunkBytes ?? LIMITS.chunkBytes;
    const chunks = Array.from({ length: writer.header.chunkCount }, (_, index) =>
      writer.write(bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)),
    );
    const offer = { uploadId: all.uploadId, header: writer.headerBytes, signature: writer.headerSignature };
    return { offer, chunks, seal: writer.seal() };
  }

  begin(update: WrittenUpdate): Promise<ReceivingUpload> {
    return this.#world.training.uploads.begin(this.agentId, update.offer);
  }

  /** Sends a whole update, or what the coordinator does not hold of it. */
  async send(update: WrittenUpdate): Promise<UploadReceipt> {
    const upload = await this.begin(update);
    try {
      if (upload.receipt !== undefined) return upload.receipt;
      for (let index = upload.nextChunk; index < update.chunks.length; index += 1) {
        await upload.push(index, update.chunks[index] ?? new Uint8Array());
      }
      return await upload.seal(update.seal);
    } finally {
      await upload.abandon();
    }
  }

  /** Writes the update of the round once, and sends it. */
  submit(round: RoundState): Promise<UploadReceipt> {
    const name = `${round.jobId}/${String(round.round)}/${String(round.attempt)}`;
    const update = this.#written.get(name) ?? this.write(round);
    this.#written.set(name, update);
    return this.send(update);
  }

  #ordered(order: Order): void {
    this.orders.push(order);
    this.heard(order);
    const entry = lastEntry(order);
    if (entry.type !== 'round.opened') return;
    if (!this.automatic && !(this.evaluates && entry.body.kind === 'Evaluation')) return;
    const round = this.#world.job(entry.body.jobId).round;
    // Whatever fails is sent again when the agent connects the next time.
    if (round !== undefined) this.submit(round).catch(() => undefined);
  }
}

export function lastEntry(order: Order): LedgerEntry {
  const last = order.entries.at(-1);
  if (last === undefined) throw new Error('an empty order');
  return decodeEntry(last.entry);
}
