import { isDeepStrictEqual } from 'node:util';

import type { InboundMessage } from '@tributary/edge-agent/internal/streams-ports.js';

import { paced } from '../../support/pacing.js';
import { StreamExchange } from '../../support/stream-exchange.js';
import { message } from '../../support/stream-pipeline.js';
import { eventually } from '../../support/waiting.js';
import { expectedWindows, type ExpectedWindow } from '../replay/expected-windows.js';
import { topicOf, type PlannedPipeline } from '../replay/planned-pipeline.js';
import type { StreamFigures } from '../result.js';
import { heartRateOf, type Beat } from './beat-summary.js';
import { BedResults, type WindowResult } from './bed-results.js';
import { BedView } from './bed-view.js';
import { MESSAGE_MS, type EcgMessage } from './ecg-record.js';
import { alarmsOf, readAlarm, type Alarm } from './tachycardia.js';

export interface Ward {
  /** Of the site's broker. */
  readonly port: number;
  readonly bed: string;
  /** Finds beats in the ECG. */
  readonly beats: PlannedPipeline;
  /** Counts the beats that the other publishes, and watches over them. */
  readonly heartRate: PlannedPipeline;
  readonly messages: readonly EcgMessage[];
  /** Times the speed of the record. */
  readonly speed: number;
  readonly say: (line: string) => void;
}

export interface EcgReplay {
  readonly figures: StreamFigures;
  /** What is wrong with it; empty where nothing is. */
  readonly failures: readonly string[];
}

const PATIENCE_MS = 15_000;

/** Replays an ECG faster than the heart beat, and compares what two pipelines of an agent make of it with their rules. */
export async function replayEcg(ward: Ward): Promise<EcgReplay> {
  const { port, messages, speed } = ward;
  const replay = new Replay(ward);
  const exchange = await StreamExchange.open({
    port,
    protocol: 'V3',
    name: 'replay-ecg',
    results: replay.topics,
    records: messages.length,
    answered: (received) => replay.take(received),
  });
  try {
    await paced(messages, MESSAGE_MS / speed, ({ startMs, payload }, index) => {
      exchange.publish(index, replay.ecgTopic(startMs), payload);
    });
    await eventually('the last windows', () => replay.isComplete() || undefined, PATIENCE_MS).catch(
      () => undefined,
    );
    return replay.finish(exchange.figures().p99Ms);
  } finally {
    await exchange.close();
  }
}

/** What came of an ECG so far. */
class Replay {
  readonly #ward: Ward;
  readonly #beats: BedResults;
  readonly #rates: BedResults;
  readonly #alarms: Alarm[] = [];
  readonly #alarmTopic: string;
  readonly #expectedBeats: ReadonlyMap<string, ExpectedWindow>;
  readonly #view: BedView;

  constructor(ward: Ward) {
    this.#ward = ward;
    const { bed, beats, heartRate, messages, say } = ward;
    this.#beats = new BedResults(beats, bed);
    this.#rates = new BedResults(heartRate, bed);
    this.#alarmTopic = topicOf(heartRate.document.spec.alerts[0]?.topic ?? '', bed);
    this.#view = new BedView(bed, messages[0]?.startMs ?? 0, say);
    const sent = messages.map(({ startMs, payload }) =>
      message(payload, { topic: this.ecgTopic(startMs), arrivalMs: startMs + MESSAGE_MS }),
    );
    this.#expectedBeats = expectedWindows(beats, sent);
  }

  get topics(): readonly string[] {
    return [this.#beats.topic, this.#rates.topic, this.#alarmTopic];
  }

  ecgTopic(startMs: number): string {
    const [template = ''] = this.#ward.beats.document.spec.source.topics;
    return topicOf(template.replace('{start}', String(startMs)), this.#ward.bed);
  }

  /** The message of samples that completed a beat; undefined of everything else. */
  take(received: InboundMessage): number | undefined {
    if (received.topic === this.#alarmTopic) {
      const alarm = readAlarm(received.payload);
      if (this.#alarms.some((known) => isDeepStrictEqual(known, alarm))) return undefined;
      this.#alarms.push(alarm);
      this.#view.alarm(alarm);
      return undefined;
    }
    if (received.topic === this.#rates.topic) {
      this.#rates.take(received);
      return undefined;
    }
    const result = this.#beats.take(received);
    if (result === undefined) return undefined;
    this.#view.beats(this.#beats.all().map(beatOf));
    return this.#expectedBeats.get(result.decisionId)?.message;
  }

  isComplete(): boolean {
    return (
      this.#beats.size >= this.#expectedBeats.size &&
      this.#rates.size >= this.#expectedRates().size &&
      this.#alarms.length >= this.#expectedAlarms().length
    );
  }

  finish(p99Ms: number): EcgReplay {
    const beats = this.#beats.all().map(beatOf);
    this.#view.beats(beats, true);
    const [beat, rate] = [
      this.#beats.compare(this.#expectedBeats),
      this.#rates.compare(this.#expectedRates()),
    ];
    const lost = beat.lost + rate.lost;
    const wrong = beat.wrong + rate.wrong;
    const failures: string[] = [];
    if (lost !== 0) failures.push(`${String(lost)} windows of the ECG are missing`);
    if (wrong !== 0) failures.push(`${String(wrong)} windows of the ECG are not those of its samples`);
    if (!isDeepStrictEqual(this.#alarms, this.#expectedAlarms()))
      failures.push('the alarms are not those of the heart rate');
    const { messages, speed } = this.#ward;
    return {
      figures: {
        messages: messages.length,
        signalSeconds: (messages.length * MESSAGE_MS) / 1_000,
        speed,
        beats: beats.length,
        heartRateMean: heartRateOf(beats),
        alarms: this.#alarms.filter(({ type }) => type === 'Raised').length,
        lost,
        p99Ms,
      },
      failures,
    };
  }

  /** By the beats that came. */
  #expectedRates(): ReadonlyMap<string, ExpectedWindow> {
    const arrivalMs = Date.now();
    const beats = this.#beats
      .all()
      .map(({ payload }) => message(payload, { topic: this.#beats.topic, arrivalMs }));
    return expectedWindows(this.#ward.heartRate, beats);
  }

  #expectedAlarms(): readonly Alarm[] {
    const [alert] = this.#ward.heartRate.document.spec.alerts;
    return alert === undefined ? [] : alarmsOf(alert, this.#rates.all());
  }
}

function beatOf({ window, trigger, row }: WindowResult): Beat {
  const interval = row['interval'];
  return {
    timeMs: trigger?.timeMs ?? window.startMs,
    intervalMs: typeof interval === 'number' ? interval : null,
  };
}
