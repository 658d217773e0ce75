import { TributaryError, type Row, type StreamPipeline } from '@tributary/proto';
import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { MemoryBroker } from '@tributary/edge-agent/internal/adapters/mqtt/memory-broker.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { StreamStates } from '@tributary/edge-agent/internal/adapters/store/stream-states.js';
import { systemClock } from '@tributary/edge-agent/internal/adapters/system/clock.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import { LetterBox } from '@tributary/edge-agent/internal/app/streams/letter-box.js';
import {
  PipelineRunner,
  type PipelineParts,
} from '@tributary/edge-agent/internal/app/streams/pipeline-runner.js';
import type { SealedFiles } from '@tributary/edge-agent/internal/ports.js';
import type {
  LoadedModel,
  PredictionEntry,
  PredictionLog,
  PredictionRequest,
  PredictionResult,
} from '@tributary/edge-agent/internal/serving-ports.js';
import type {
  MessageSink,
  MessageSource,
  QualityOfService,
  StreamStateStore,
} from '@tributary/edge-agent/internal/streams-ports.js';

const BARRIER = 'out/barrier';

const silent = (): void => undefined;

/** Answers with the column `pulse`, as output `bad`; what it refuses and when is up to the test. */
export class ScriptedPredictor {
  version: number | undefined = 1;
  /** Rows of each request, in order. */
  readonly asked: (readonly Row[])[] = [];
  /** Throws what a request is refused with. */
  refuse: (rows: readonly Row[]) => void = silent;
  /** Awaited before each answer. */
  delay: () => Promise<unknown> = () => Promise.resolve();

  /** What it says it serves. */
  loaded: readonly LoadedModel[] = [];

  models(): readonly LoadedModel[] {
    return this.loaded;
  }

  async predict(request: PredictionRequest): Promise<PredictionResult> {
    if (!('rows' in request)) throw new TributaryError('INTERNAL', 'streams send rows');
    const { rows, model, decisionIds = [] } = request;
    this.asked.push(rows);
    await this.delay();
    const { version } = this;
    if (version === undefined) throw new TributaryError('NOT_FOUND', `the model ${model} is not served here`);
    this.refuse(rows);
    const scores = Float32Array.from(rows, ({ pulse }) => (typeof pulse === 'number' ? pulse : Number.NaN));
    return { model, version, outputs: ['bad'], scores, decisionIds, issues: [], latencyMs: 1 };
  }
}

/** The lines of a log in memory. */
export class MemoryLog implements PredictionLog {
  readonly entries: PredictionEntry[] = [];
  fails = 0;

  record(entries: readonly PredictionEntry[]): Promise<void> {
    if (this.fails > 0) {
      this.fails -= 1;
      return Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));
    }
    this.entries.push(...entries);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface ReceivedResult {
  readonly topic: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly properties: Readonly<Record<string, string>>;
}

interface SendOptions {
  readonly bed?: string;
  readonly qos?: QualityOfService;
  readonly retain?: boolean;
}

/** A pipeline on a broker in memory, which may be killed and started again over what it left. */
export class StreamWorld {
  readonly broker = new MemoryBroker(systemClock);
  readonly predictor = new ScriptedPredictor();
  readonly log = new MemoryLog();
  readonly received: ReceivedResult[] = [];
  readonly logged: string[] = [];
  readonly store = new MemoryStateStore();
  readonly letterFiles: SealedFiles = new MemoryOutbox();
  readonly pipeline: StreamPipeline;
  readonly #parts: Partial<PipelineParts>;
  readonly #receiveMaximum: number | undefined;
  readonly #barriers: (() => void)[] = [];
  #publisher: MessageSink | undefined;
  #runner: PipelineRunner | undefined;
  #source: MessageSource | undefined;
  #cut: (() => void) | undefined;

  constructor(pipeline: StreamPipeline, parts: Partial<PipelineParts> = {}, receiveMaximum?: number) {
    this.pipeline = pipeline;
    this.#parts = parts;
    this.#receiveMaximum = receiveMaximum;
  }

  get runner(): PipelineRunner {
    if (this.#runner === undefined) throw new Error('the pipeline was not started');
    return this.#runner;
  }

  get source(): MessageSource {
    if (this.#source === undefined) throw new Error('the pipeline was not started');
    return this.#source;
  }

  /** Subscribes to everything that the pipeline publishes under `out/`. */
  async open(): Promise<void> {
    this.#publisher = this.broker.sink();
    await this.broker.source('consumer', { topics: ['out/#'], qos: 1 }).start((message) => {
      const { topic, payload, properties } = message;
      message.acknowledge();
      if (topic === BARRIER) {
        this.#barriers.shift()?.();
        return;
      }
      const body = JSON.parse(Buffer.from(payload).toString()) as Readonly<Record<string, unknown>>;
      this.received.push({ topic, body, properties });
    });
  }

  async start(pipeline = this.pipeline): Promise<void> {
    const subscription = {
      topics: ['site/+/bed/+/vitals'],
      qos: pipeline.spec.source.qos === 0 ? 0 : 1,
    } as const;
    const mortal = new Mortal(
      this.broker.source('pipeline', subscription, this.#receiveMaximum),
      this.broker.sink(),
      new StreamStates(this.store),
    );
    this.#cut = () => mortal.die();
    this.#source = mortal;
    const note = (fields: object, message: string): void => {
      this.logged.push(`${message} ${JSON.stringify(fields)}`);
    };
    this.#runner = new PipelineRunner({
      pipeline,
      source: mortal,
      sink: mortal.sink,
      userProperties: true,
      predictor: this.predictor,
      decisions: this.log,
      states: mortal.states,
      letters: await LetterBox.open(this.letterFiles, pipeline.spec.deadLetter.keepBytes, { warn: note }),
      clock: systemClock,
      random: systemRandom,
      log: { debug: silent, info: note, warn: note, error: note },
      ...this.#parts,
    });
    await this.#runner.start();
  }

  /** As kill -9: nothing that it does from now on is seen by the broker or the disk. */
  kill(): void {
    this.#cut?.();
    // The object lives on, and may do what it likes.
    this.#runner?.close().catch(() => undefined);
  }

  /** Resolves when what the broker had until now was received: it delivers in order. */
  async receivedAll(): Promise<void> {
    const reached = new Promise<void>((resolve) => this.#barriers.push(resolve));
    await this.#publisher?.publish(BARRIER, new Uint8Array(), { qos: 1 });
    await reached;
  }

  async send(body: unknown, options: SendOptions = {}): Promise<void> {
    const { bed = '7', qos = 1, retain = false } = options;
    const payload = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
    await this.#publisher?.publish(`site/a/bed/${bed}/vitals`, payload, { qos, retain });
  }

  async close(): Promise<void> {
    await this.#runner?.close();
  }
}

/** Ends of a pipeline that can be cut off all at once. */
class Mortal implements MessageSource {
  readonly sink: MessageSink;
  readonly states: StreamStateStore;
  readonly #source: MessageSource;
  #dead = false;

  constructor(source: MessageSource, sink: MessageSink, states: StreamStateStore) {
    this.#source = source;
    const never = new Promise<never>(() => undefined);
    this.sink = {
      get status() {
        return sink.status;
      },
      get queued() {
        return sink.queued;
      },
      publish: (...args) => (this.#dead ? never : sink.publish(...args)),
      close: () => sink.close(),
    };
    this.states = {
      read: (pipeline) => states.read(pipeline),
      write: (...args) => (this.#dead ? never : states.write(...args)),
      close: () => Promise.resolve(),
    };
  }

  get status(): MessageSource['status'] {
    return this.#source.status;
  }

  get unacknowledged(): number {
    return this.#source.unacknowledged;
  }

  get refused(): number {
    return this.#source.refused;
  }

  start(receive: Parameters<MessageSource['start']>[0]): Promise<void> {
    return this.#source.start((message) => {
      if (!this.#dead) receive({ ...message, acknowledge: () => this.#dead || message.acknowledge() });
    });
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#source.resume();
  }

  leave(): Promise<void> {
    return this.#source.leave();
  }

  close(): Promise<void> {
    return this.#dead ? Promise.resolve() : this.#source.close();
  }

  die(): void {
    this.#dead = true;
    this.#source.close().catch(() => undefined);
  }
}
