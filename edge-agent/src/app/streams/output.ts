import { TributaryError, type StreamPipeline } from '@tributary/proto';

import { backoffMs } from '../../domain/backoff.js';
import { compileAlerts, type AlertJudge, type AlertState, type Scored } from '../../domain/streams/alerts.js';
import { isFault } from '../../domain/streams/fault.js';
import type { Decision } from '../../domain/streams/key-step.js';
import { compileText, type TextRenderer } from '../../domain/streams/text-rendering.js';
import type { Clock, Random } from '../../ports.js';
import type { PredictionEntry, PredictionLog } from '../../serving-ports.js';
import type { PublishOptions } from '../../streams-ports.js';
import { pause, uniform } from '../pause.js';
import type { DeadLetters } from './dead-letters.js';
import type { StreamFigures } from './figures.js';
import type { Publisher } from './publisher.js';
import {
  alertMessage,
  outputsOf,
  resultWriter,
  type Answered,
  type ResultWriter,
} from './stream-messages.js';
import type { Letter, Outcome, Step } from './stream-work.js';

export interface OutputParts {
  readonly pipeline: StreamPipeline;
  /** Results carry user properties. */
  readonly userProperties: boolean;
  readonly publisher: Publisher;
  readonly letters: DeadLetters;
  readonly log: PredictionLog;
  readonly figures: StreamFigures;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Told why decisions wait for their log; undefined once they do no more. */
  readonly waiting: (error: TributaryError | undefined) => void;
}

/** A step whose effects were sent, and the alerts of its key after it. */
export interface ReleasedStep {
  readonly step: Step;
  readonly alerts: AlertState | undefined;
  /** An alert began, ended or began to wait: that must not be forgotten. */
  readonly alertsChanged: boolean;
}

const NO_PROPERTIES = {};

/** Sends the effects of steps, in their order. */
export class Output {
  readonly #parts: OutputParts;
  readonly #judge: AlertJudge;
  readonly #hasAlerts: boolean;
  readonly #write: ResultWriter;
  readonly #resultTopic: TextRenderer;
  readonly #alertTopics: ReadonlyMap<string, TextRenderer>;

  constructor(parts: OutputParts) {
    const { metadata, spec } = parts.pipeline;
    this.#parts = parts;
    this.#judge = compileAlerts(metadata.name, spec.alerts, spec.model?.output);
    this.#hasAlerts = spec.alerts.length > 0;
    this.#write = resultWriter(parts.pipeline);
    this.#resultTopic = compileText(spec.result.topic);
    this.#alertTopics = new Map(spec.alerts.map(({ name, topic }) => [name, compileText(topic)]));
  }

  /** Sends the effects of a batch at once; `out` resolves when all are out, and its decisions in the log. */
  release(
    steps: readonly Step[],
    outcomes: readonly Outcome[] | undefined,
  ): { readonly released: readonly ReleasedStep[]; readonly out: Promise<void> } {
    const sending = new Sending();
    const entries: PredictionEntry[] = [];
    let index = 0;
    const released = steps.map((step) => {
      const before = step.keyed?.entry.alerts;
      for (const letter of step.letters) this.#letter(letter, step, sending);
      for (const decision of step.decisions) {
        const outcome = outcomes?.[index++];
        if (outcome !== undefined && 'refused' in outcome) this.#letter(outcome.refused, step, sending);
        else this.#decide(step, decision, outcome, sending, entries);
      }
      const alerts = step.keyed?.entry.alerts;
      return { step, alerts, alertsChanged: alerts !== before && hasChanged(before, alerts) };
    });
    const logged = entries.length > 0 ? this.#record(entries) : undefined;
    sending.seal();
    const out =
      logged === undefined ? sending.done : Promise.all([sending.done, logged]).then(() => undefined);
    return { released, out };
  }

  #decide(
    step: Step,
    decision: Decision,
    answered: Answered | undefined,
    sending: Sending,
    entries: PredictionEntry[],
  ): void {
    const { figures, clock } = this.#parts;
    const nowMs = clock.now();
    const latencyMs = Math.max(0, nowMs - step.sinceMs);
    const payload = this.#write(decision, answered, latencyMs);
    figures.results += 1;
    figures.latencies.add(latencyMs);
    this.#send(this.#resultTopic, decision, payload, this.#options(decision, answered), step, sending);
    if (answered !== undefined) entries.push(this.#entry(decision, answered, nowMs, latencyMs));
    if (this.#hasAlerts) this.#alert(step, decision, answered, sending);
  }

  #alert(step: Step, decision: Decision, answered: Answered | undefined, sending: Sending): void {
    const entry = step.keyed?.entry;
    if (entry === undefined) return;
    const outputs = answered === undefined ? numbersOf(decision) : outputsOf(answered);
    const scored: Scored = { timeMs: decision.endMs, outputs };
    const { state, effects } = this.#judge(decision.key, entry.alerts, scored);
    entry.alerts = state;
    for (const effect of effects) {
      const topic = this.#alertTopics.get(effect.alert);
      if (topic === undefined) continue;
      this.#parts.figures.alerts += 1;
      const payload = alertMessage(this.#parts.pipeline.metadata.name, decision, effect);
      this.#send(topic, decision, payload, { qos: 1 }, step, sending);
    }
  }

  #send(
    template: TextRenderer,
    decision: Decision,
    payload: Uint8Array,
    options: PublishOptions,
    step: Step,
    sending: Sending,
  ): void {
    const topic = template.render(decision.labels);
    if (isFault(topic)) {
      this.#letter({ reason: 'Unpublishable', field: 'result.topic' }, step, sending);
      return;
    }
    sending.begin();
    const done = (refusal?: TributaryError): void => {
      if (refusal !== undefined)
        this.#letter({ reason: 'Unpublishable', field: refusal.code }, step, sending);
      sending.end();
    };
    this.#parts.publisher.publish({ key: decision.key, topic, payload, options, done });
  }

  #letter(letter: Letter, step: Step, sending: Sending): void {
    sending.begin();
    this.#parts.letters.send(letter, step.delivery?.message, () => {
      sending.end();
    });
  }

  #options({ id }: Decision, answered: Answered | undefined): PublishOptions {
    const { userProperties, pipeline } = this.#parts;
    const { retain } = pipeline.spec.result;
    const qos = pipeline.spec.result.qos === 0 ? 0 : 1;
    const version = answered && { 'model-version': String(answered.result.version) };
    return { qos, retain, properties: userProperties ? { 'decision-id': id, ...version } : NO_PROPERTIES };
  }

  #entry(
    { id, row }: Decision,
    { result, row: at }: Answered,
    atMs: number,
    latencyMs: number,
  ): PredictionEntry {
    const { metadata } = this.#parts.pipeline;
    const { model, version, outputs, scores, labels } = result;
    const label = labels?.[at];
    return {
      atMs,
      decisionId: id,
      model,
      version,
      source: metadata.name,
      scores: [...scores.subarray(at * outputs.length, (at + 1) * outputs.length)],
      latencyMs,
      ...(label !== undefined && { label }),
      input: () => JSON.stringify(row),
    };
  }

  /** Decisions that are not in the log hold back the acknowledgement of what they answer, until the disk takes them. */
  async #record(entries: readonly PredictionEntry[]): Promise<void> {
    const { log, clock, random, signal, waiting } = this.#parts;
    for (let attempt = 0; ; attempt++) {
      try {
        await log.record(entries);
        if (attempt > 0) waiting(undefined);
        return;
      } catch (error) {
        const known = TributaryError.from(error);
        if (known.code === 'SHUTTING_DOWN') throw known;
        waiting(known);
        await pause(clock, backoffMs(attempt, uniform(random)), signal);
      }
    }
  }
}

/** Counts what was sent and is not out yet. */
class Sending {
  readonly done: Promise<void>;
  #open = 1;
  #resolve: () => void = () => undefined;

  constructor() {
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  begin(): void {
    this.#open += 1;
  }

  end(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#resolve();
  }

  /** Everything was begun. */
  seal(): void {
    this.end();
  }
}

function hasChanged(before: AlertState = {}, after: AlertState = {}): boolean {
  return Object.entries(after).some(([name, { sinceMs, raised }]) => {
    const known = before[name];
    return known === undefined ? sinceMs !== null : known.sinceMs !== sinceMs || known.raised !== raised;
  });
}

const numbersOf = ({ row }: Decision): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(row).flatMap(([name, cell]) => (typeof cell === 'number' ? [[name, cell]] : [])),
  );
