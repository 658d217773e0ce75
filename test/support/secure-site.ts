import { randomBytes } from 'node:crypto';

import { RingEncoder, ringLength, TributaryError, type RingShape } from '@tributary/proto';
import type { Order } from '@tributary/coordinator/internal/app/order.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { SecureRecords } from '@tributary/edge-agent/internal/app/secure/secure-records.js';
import { SecureRounds, type Masking } from '@tributary/edge-agent/internal/app/secure/secure-rounds.js';
import type { Witness } from '@tributary/edge-agent/internal/app/witness.js';
import { verifyOrder, type OpenedRound } from '@tributary/edge-agent/internal/domain/order.js';
import { roundKey, type RoundKey, type RoundRef } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { FleetClient } from '@tributary/edge-agent/internal/ports.js';
import type { StageMessage, StageResult } from '@tributary/edge-agent/internal/stage-ports.js';

import { openWitness } from './open-witness.js';
import { PowerOff } from './power.js';
import type { SimulatedAgent, WrittenUpdate } from './simulated-agent.js';
import { LOG_KEY, type TrainingWorld } from './training-world.js';

export type Stage = 'advertise' | 'share' | 'mask' | 'agree' | 'unmask';
export const STAGES: readonly Stage[] = ['advertise', 'share', 'mask', 'agree', 'unmask'];

type StageClient = Pick<FleetClient, 'submitStage' | 'stageResult' | 'consistencyProof'>;

/** A site's real part in secure rounds, over a simulated agent that trains nothing. */
export class SecureSite {
  readonly agent: SimulatedAgent;
  store = new MemoryStateStore();
  /** What it met other than a coordinator that is gone. */
  readonly refusals: TributaryError[] = [];
  /** What it sent, by round and stage: each message of the site must always be the same. */
  readonly said = new Map<string, StageMessage>();
  /** What it was shown, by round and stage. */
  readonly shown = new Map<string, Uint8Array>();
  /** Stages in which it said two things, or was shown two sets. */
  readonly contradictions: string[] = [];
  /** Its vectors without masks. */
  readonly plain = new Map<RoundKey, Uint8Array>();
  /** Name of the delta in its outbox. */
  delta = 'upl-1';
  /** Whether it hears no settlement. */
  deaf = false;
  /** Proofs that it asked for. */
  proofs = 0;
  /** The stages, by round and attempt, from which on it says nothing. */
  readonly silent = new Map<string, Stage>();
  /** Called before the site answers a stage. */
  before: (stage: Stage | undefined) => void = () => undefined;
  /** What it says instead of what it should. */
  bend: (message: StageMessage) => Promise<StageMessage> = (message) => Promise.resolve(message);
  /** Whether a message gets through. */
  sends: (message: StageMessage) => boolean = () => true;
  /** What the coordinator shows, changed by whoever stands in between. */
  tamper: (stage: string, result: StageResult) => StageResult = (_stage, result) => result;
  readonly #world: TrainingWorld;
  readonly #updates = new Map<RoundKey, WrittenUpdate>();
  #secure: SecureRounds | undefined;
  #witness: Witness | undefined;
  #opened: RoundRef | undefined;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(world: TrainingWorld, site: string) {
    this.#world = world;
    this.agent = world.agent(site);
    this.agent.evaluates = false;
    this.agent.heard = (order) => {
      this.#enqueue(order);
    };
  }

  get busy(): boolean {
    return this.#waiting > 0;
  }

  get records(): SecureRecords {
    return new SecureRecords(this.store);
  }

  /** What it said in the first attempt. */
  message(stage: Stage): StageMessage | undefined {
    return [...this.said].find(([name]) => name.endsWith(`/1/0/${stage}`))?.[1];
  }

  /** Another process of the agent; `lost`: with nothing of what it kept. */
  restart(lost = false): void {
    this.#secure = undefined;
    this.#witness = undefined;
    if (!lost) return;
    this.store = new MemoryStateStore();
    this.#updates.clear();
  }

  /** What another process does first. */
  async start(hasEnded: (jobId: string) => boolean = () => false): Promise<void> {
    this.restart();
    const { logId } = this.#world.federation;
    this.#witness = await openWitness(this.store, { logId, logKey: LOG_KEY.publicKey });
    this.#secure = this.#rounds(this.#witness);
    await this.#secure.sweep(hasEnded);
  }

  /** Takes an order once more. */
  async take(order: Order): Promise<void> {
    const { logId } = this.#world.federation;
    const { agentId, site } = this.agent;
    const reader = { agentId, site, logId, logKey: LOG_KEY.publicKey };
    const verified = verifyOrder(reader, order);
    if (verified.kind === 'Opened') {
      const { closed, opened } = verified;
      const silentFrom = this.silent.get(`${String(opened.round)}.${String(opened.attempt)}`);
      if (silentFrom !== undefined && STAGES.indexOf(silentFrom) <= closed.length) return;
      this.before(STAGES[closed.length]);
      this.#opened = opened;
    }
    const witness = (this.#witness ??= await openWitness(this.store, reader));
    await witness.observe(order.treeHead, (first, second) => this.client.consistencyProof(first, second));
    const secure = (this.#secure ??= this.#rounds(witness));
    if (verified.kind === 'Settled') return this.deaf ? undefined : secure.settled(verified.round);
    const task = { round: verified, minimum: 0 };
    const maskable = await secure.follow(this.client, task);
    if (maskable) await this.#upload(verified, await secure.masking(task, this.delta));
  }

  readonly client: FleetClient = {
    submitStage: async (honest) => {
      const message = await this.bend(honest);
      const { stage, payload, signature, attachments, ...ref } = message;
      this.#keep(`${roundKey(ref)}/${stage}`, message);
      if (!this.sends(message)) return;
      const statement = { payload, signature, attachments };
      await this.#world.training.stages.submit(this.agent.agentId, { ...ref, stage, statement });
    },
    stageResult: async (ref) => {
      const result = await this.#world.training.stages.result(this.agent.agentId, ref);
      const name = `${roundKey(ref)}/${ref.stage}`;
      const known = this.shown.get(name);
      if (known !== undefined && Buffer.compare(known, result.set) !== 0) this.contradictions.push(name);
      this.shown.set(name, result.set);
      return this.tamper(ref.stage, result);
    },
    consistencyProof: (first, second) => {
      this.proofs += 1;
      return this.#world.federation.consistencyProof(first, second);
    },
  } satisfies StageClient as unknown as FleetClient;

  #rounds(witness: Witness): SecureRounds {
    const { agentId, identity } = this.agent;
    const { logId } = this.#world.federation;
    const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
    const log = { info: () => undefined, warn: () => undefined };
    const { clock } = this.#world;
    const of = { agentId, logId, identity };
    return new SecureRounds({ records: this.records, ...of, witness, random, clock, log });
  }

  /** What a site says in a stage never changes, whatever happened to it. */
  #keep(name: string, message: StageMessage): void {
    const known = this.said.get(name);
    if (known !== undefined && bytesOf(known) !== bytesOf(message)) this.contradictions.push(name);
    this.said.set(name, message);
  }

  async #upload(verified: OpenedRound, masking: Masking): Promise<void> {
    const key = roundKey(verified.opened);
    const round = this.#world.job(verified.jobId).round;
    if (round === undefined) return;
    const update = this.#updates.get(key) ?? this.#write(key, round, masking);
    this.#updates.set(key, update);
    await this.agent.send(update);
  }

  #write(key: RoundKey, round: RoundState, masking: Masking): WrittenUpdate {
    const { scale, rounding, masks, tail } = masking;
    const parameters = round.vectorLength - ringLength({ parameters: 0, tail });
    const shape: RingShape = { parameters, tail };
    const values = this.agent.vector(round);
    const words = (encoder: RingEncoder): Uint8Array =>
      Buffer.concat([
        encoder.push(values.slice(0, parameters)),
        encoder.finish(values.slice(parameters), false),
      ]);
    this.plain.set(key, words(new RingEncoder({ shape, scale, rounding, masks: [] })));
    const bytes = words(new RingEncoder({ shape, scale, rounding, masks }));
    const fields = { wire: '1.2', stage: 'mask', encoding: 'ring' } as const;
    return this.agent.write(round, { bytes, fields });
  }

  #enqueue(order: Order): void {
    const { power } = this.#world;
    this.#waiting += 1;
    this.#last = this.#last
      .then(() => this.take(order))
      .catch((error: unknown) => {
        if (power.off) return undefined;
        return error instanceof PowerOff ? this.#revive() : this.#failed(TributaryError.from(error));
      })
      .catch(() => undefined)
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  /** Its process died in the middle of a step: another one connects, and is told what it has to know. */
  #revive(): void {
    this.restart();
    this.agent.connect();
  }

  /** As the session does: it is out of the round, and says so. */
  async #failed(error: TributaryError): Promise<void> {
    if (error.code === 'UPDATE_LATE' || error.code === 'UPDATE_WRONG_ROUND') return;
    this.refusals.push(error);
    if (this.#opened === undefined) return;
    const { jobId, round, attempt } = this.#opened;
    await this.agent.connection.fail({ jobId, round, attempt, code: error.code, detail: error.message });
  }
}

function bytesOf({ payload, signature, attachments }: StageMessage): string {
  const attached = [...attachments].map(([to, data]) => `${to}:${Buffer.from(data).toString('hex')}`).sort();
  return [payload, signature]
    .map((data) => Buffer.from(data).toString('hex'))
    .concat(attached)
    .join();
}
