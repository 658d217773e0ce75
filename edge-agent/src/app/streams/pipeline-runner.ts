import { LIMITS, TributaryError, type StreamPipeline } from '@tributary/proto';

import { snapshotCodec } from '../../domain/streams/key-state-codec.js';
import type { KeyState } from '../../domain/streams/key-state.js';
import { compileKeyStream } from '../../domain/streams/key-stream.js';
import type { KeyStream } from '../../domain/streams/key-step.js';
import type { Clock, Random } from '../../ports.js';
import type { PredictionLog, Predictor } from '../../serving-ports.js';
import type { InboundMessage, MessageSink, MessageSource, StreamStateStore } from '../../streams-ports.js';
import type { Log } from '../log.js';
import { describeUnexpected } from '../unexpected.js';
import { Batcher } from './batcher.js';
import { DeadLetters } from './dead-letters.js';
import { StreamFigures } from './figures.js';
import { Intake } from './intake.js';
import { IntakeGate } from './intake-gate.js';
import { KeyTable } from './key-table.js';
import type { LetterBox } from './letter-box.js';
import { Output, type ReleasedStep } from './output.js';
import { describePipeline, type PipelineStatus } from './pipeline-status.js';
import { Publisher } from './publisher.js';
import { Scorer } from './scorer.js';
import { StateWriter } from './state-writer.js';
import type { Delivery, Step } from './stream-work.js';
import { WaitReasons } from './wait-reasons.js';

export interface PipelineParts {
  readonly pipeline: StreamPipeline;
  readonly source: MessageSource;
  readonly sink: MessageSink;
  /** The broker takes user properties: MQTT 5. */
  readonly userProperties: boolean;
  readonly predictor: Pick<Predictor, 'predict' | 'models'>;
  /** Of this pipeline alone. */
  readonly decisions: PredictionLog;
  readonly states: StreamStateStore;
  readonly letters: LetterBox;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Milliseconds between two looks at the clock for silent keys, at most. */
const TICK_MS = 1_000;
const LEAST_TICK_MS = 10;
const SWEEP_MS = 60_000;

/**
 * One pipeline at work: messages become steps of keys, steps gather into batches, batches are answered side by side and
 * leave one after the other. A message is acknowledged once what it brought about is out and, where windows are to outlive
 * a crash, on disk.
 */
export class PipelineRunner {
  readonly name: string;
  readonly #parts: PipelineParts;
  readonly #stream: KeyStream;
  readonly #figures = new StreamFigures();
  readonly #stop = new AbortController();
  readonly #gate: IntakeGate;
  readonly #keys: KeyTable;
  readonly #writer: StateWriter;
  readonly #intake: Intake;
  readonly #batcher: Batcher;
  readonly #publisher: Publisher;
  readonly #scorer: Scorer | undefined;
  readonly #output: Output;
  readonly #waits = new WaitReasons();
  readonly #persists: boolean;
  #released: Promise<void> = Promise.resolve();
  #out: Promise<void> = Promise.resolve();
  /** Steps that are not settled. */
  #open = 0;
  #whenIdle: () => void = () => undefined;
  #accepting = false;
  #failure: TributaryError | undefined;
  #whenFailed: (error: TributaryError) => void = () => undefined;
  #draining: Promise<void> | undefined;
  #cancelTick: () => void = () => undefined;
  #reachableMs: number | undefined;
  #sweptMs = 0;

  constructor(parts: PipelineParts) {
    const { pipeline, source, sink, clock, random } = parts;
    const { metadata, spec } = pipeline;
    const signal = this.#stop.signal;
    const waits = this.#waits;
    this.name = metadata.name;
    this.#parts = parts;
    this.#stream = compileKeyStream(metadata.name, spec);
    this.#persists = spec.window.type !== 'Record' || spec.alerts.length > 0;
    this.#gate = new IntakeGate(source);
    this.#writer = new StateWriter({
      pipeline: metadata.name,
      store: parts.states,
      codec: snapshotCodec(spec, this.#stream.initial),
      clock,
      random,
      wrote: (failure) => {
        this.#figures.writes += 1;
        waits.set('state', failure);
      },
    });
    this.#keys = new KeyTable(this.#stream, (key) => {
      if (this.#persists) this.#writer.forget(key);
    });
    this.#publisher = new Publisher({ sink, clock, random, waiting: (error) => waits.set('publish', error) });
    const letters = new DeadLetters({
      pipeline,
      publisher: this.#publisher,
      box: parts.letters,
      figures: this.#figures,
    });
    this.#output = new Output({
      ...parts,
      publisher: this.#publisher,
      letters,
      log: parts.decisions,
      figures: this.#figures,
      signal,
      waiting: (error) => waits.set('log', error),
    });
    const { maximumRows } = spec.batch;
    this.#scorer =
      spec.model &&
      new Scorer({
        ...parts,
        model: spec.model,
        alerts: spec.alerts,
        maximumRows,
        signal,
        waiting: (error) => this.#wait(error),
      });
    this.#batcher = new Batcher(spec.batch, (steps) => this.#begin(steps));
    this.#intake = new Intake({
      pipeline,
      stream: this.#stream,
      keys: this.#keys,
      figures: this.#figures,
      step: (step) => {
        this.#open += 1;
        this.#batcher.add(step);
      },
    });
  }

  /** Reads the state of the keys and begins to receive; a broker that is away is waited for. Rejects where it cannot be read. */
  async start(): Promise<void> {
    await this.#restore();
    this.#accepting = true;
    this.#tickLater();
    this.#parts.source
      .start((message) => this.#receive(message))
      .then(
        () => this.#parts.log.info({ pipeline: this.name }, 'pipeline receives'),
        (error: unknown) => {
          if (TributaryError.from(error).code !== 'SHUTTING_DOWN') this.#fail(error);
        },
      );
  }

  status(): PipelineStatus {
    return describePipeline({
      pipeline: this.#parts.pipeline,
      source: this.#parts.source,
      sink: this.#parts.sink,
      models: this.#parts.predictor.models(),
      failure: this.#failure,
      draining: this.#draining !== undefined,
      waits: this.#waits.newest,
      keys: this.#keys.size,
      outstanding: this.#gate,
      figures: this.#figures.taken(),
    });
  }

  /**
   * Takes nothing new, answers what the broker has for the pipeline, however long that takes, and ends its session there.
   * Rejects where the pipeline fails, and with SHUTTING_DOWN where it is closed first.
   */
  drain(): Promise<void> {
    this.#draining ??= new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      this.#whenFailed = reject;
      this.#parts.source.leave().then(resolve, reject);
    });
    return this.#draining;
  }

  /** Answers what was read, LIMITS.drainMs at most; the rest, and what comes, stays with the broker. */
  async close(): Promise<void> {
    const { source, sink, clock } = this.#parts;
    this.#accepting = false;
    this.#cancelTick();
    this.#gate.hold();
    this.#batcher.hurry();
    if (this.#failure === undefined) await atMost(clock, LIMITS.drainMs / 2, this.#drained());
    this.#stop.abort();
    this.#publisher.stop();
    await this.#writer.close().catch((error: unknown) => {
      const { code, message: detail } = TributaryError.from(error);
      this.#parts.log.warn({ pipeline: this.name, code, detail }, 'the state of a pipeline was not written');
    });
    await source.close();
    await atMost(clock, LIMITS.drainMs / 2, sink.close());
  }

  async #restore(): Promise<void> {
    const { states, log, pipeline } = this.#parts;
    const codec = snapshotCodec(pipeline.spec, this.#stream.initial);
    let outdated = 0;
    for await (const { key, state } of states.read(this.name)) {
      const snapshot = state && codec.decode(state);
      if (snapshot !== undefined && this.#persists) this.#keys.restore(key, snapshot.state, snapshot.alerts);
      else {
        outdated += 1;
        this.#writer.forget(key);
      }
    }
    if (outdated > 0)
      log.warn({ pipeline: this.name, keys: outdated }, 'the pipeline was changed: its windows begin anew');
  }

  #receive(message: InboundMessage): void {
    if (!this.#accepting || this.#failure !== undefined) return;
    try {
      this.#figures.messages += 1;
      if (message.redelivered) this.#figures.redelivered += 1;
      this.#gate.enter(message.payload.length);
      const delivery = this.#intake.take(message);
      if (delivery.open === 0) this.#complete(delivery);
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(steps: readonly Step[]): void {
    this.#figures.batches += 1;
    const decisions =
      steps.length === 1 ? (steps[0] as Step).decisions : steps.flatMap((step) => step.decisions);
    const scored = decisions.length > 0 ? this.#scorer?.score(decisions) : undefined;
    this.#released = this.#release(steps, scored, this.#released);
    this.#released.catch((error: unknown) => this.#fail(error));
  }

  /** Batches leave in the order in which they began, so that the effects of each key do. */
  async #release(
    steps: readonly Step[],
    scored: ReturnType<Scorer['score']> | undefined,
    before: Promise<void>,
  ): Promise<void> {
    let outcomes: Awaited<ReturnType<Scorer['score']>> | undefined;
    try {
      outcomes = await scored;
    } finally {
      this.#batcher.finished();
    }
    await before;
    const { released, out } = this.#output.release(steps, outcomes);
    const earlier = this.#out;
    this.#out = out.then(() => earlier).then(() => released.forEach((one) => this.#settle(one)));
    this.#out.catch((error: unknown) => this.#fail(error));
  }

  /** The effects of the step, and of all before it, are out. */
  #settle({ step, alerts, alertsChanged }: ReleasedStep): void {
    const { keyed, delivery } = step;
    if (keyed !== undefined && alerts !== undefined) {
      const { entry, state, durable } = keyed;
      entry.open -= 1;
      entry.settled = { state: this.#kept(state), alerts };
      if (durable || alertsChanged) this.#writer.changed(entry);
      if (entry.changes > entry.written && delivery !== undefined) {
        this.#writer.whenWritten(() => this.#stepDone(delivery));
        this.#stepSettled();
        return;
      }
    }
    if (delivery !== undefined) this.#stepDone(delivery);
    this.#stepSettled();
  }

  /** Records are known again by their ids for as long as the process lives; on disk only their alerts are of use. */
  #kept(state: KeyState): KeyState {
    const { window } = this.#parts.pipeline.spec;
    return window.type === 'Record' ? { ...this.#stream.initial, arrivalMs: state.arrivalMs } : state;
  }

  #stepSettled(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#whenIdle();
  }

  #stepDone(delivery: Delivery): void {
    delivery.open -= 1;
    if (delivery.open === 0) this.#complete(delivery);
  }

  #complete({ message }: Delivery): void {
    message.acknowledge();
    this.#figures.completed += 1;
    this.#gate.leave(message.payload.length);
  }

  #wait(error: TributaryError): () => void {
    const release = this.#gate.hold();
    const over = this.#waits.begin('model', error);
    return () => {
      release();
      over();
    };
  }

  #tickLater(): void {
    const { clock, pipeline } = this.#parts;
    const { window } = pipeline.spec;
    const idleMs = window.type === 'Record' ? undefined : window.idleMs;
    const stepMs = idleMs === undefined ? SWEEP_MS : Math.min(TICK_MS, Math.max(LEAST_TICK_MS, idleMs / 2));
    this.#cancelTick = clock.at(clock.now() + stepMs, () => {
      this.#tick(idleMs, clock.now());
      this.#tickLater();
    });
  }

  /** Nobody is silent while nothing can be heard: a key is given its idle time anew after each interruption. */
  #tick(idleMs: number | undefined, nowMs: number): void {
    const { status } = this.#parts.source;
    const reachable = status.state === 'Connected' && status.subscribed && !this.#gate.closed;
    this.#reachableMs = reachable ? (this.#reachableMs ?? nowMs) : undefined;
    if (nowMs - this.#sweptMs >= SWEEP_MS) {
      this.#sweptMs = nowMs;
      this.#keys.sweep(nowMs);
    }
    if (idleMs === undefined || this.#reachableMs === undefined) return;
    if (nowMs - this.#reachableMs >= idleMs) this.#intake.tick(nowMs);
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      if (this.#open === 0) resolve();
    });
  }

  /** Something that nobody thought of: the pipeline ends where it is, and nothing more is acknowledged. */
  #fail(error: unknown): void {
    if (this.#stop.signal.aborted || this.#failure !== undefined) return;
    this.#failure = TributaryError.from(error);
    const { code, message: detail } = this.#failure;
    this.#gate.hold();
    this.#stop.abort();
    this.#parts.log.error(
      { pipeline: this.name, code, detail, ...describeUnexpected(error) },
      'pipeline ends',
    );
    this.#whenFailed(this.#failure);
  }
}

/** Resolves with `work`, or after `ms`. */
async function atMost(clock: Clock, ms: number, work: Promise<void>): Promise<void> {
  let cancel = (): void => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.at(clock.now() + ms, resolve);
  });
  await Promise.race([work, late]).finally(cancel);
}
