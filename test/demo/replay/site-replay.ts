import { paced } from '../../support/pacing.js';
import { StreamExchange, type ExchangeFigures } from '../../support/stream-exchange.js';
import { eventually } from '../../support/waiting.js';
import { readAnswer, type Answer } from './answer.js';
import type { HeldOutRecord } from './held-out.js';
import type { LiveView } from './live-view.js';
import { topicOf, valueIn, type PlannedPipeline } from './planned-pipeline.js';

export interface ReplayedSite {
  readonly site: string;
  /** Of its broker. */
  readonly port: number;
  readonly records: readonly HeldOutRecord[];
}

export interface ReplayOptions {
  readonly pipeline: PlannedPipeline;
  readonly served: { readonly model: string; readonly version: number };
  /** How long the records take. */
  readonly seconds: number;
  readonly live?: LiveView;
  /** Milliseconds that the last answers may take. */
  readonly patienceMs?: number;
}

export interface SiteReplay {
  readonly site: string;
  readonly figures: ExchangeFigures;
  readonly latencies: Float64Array;
  /** The first answer to each record, where there is one. */
  readonly answers: readonly (Answer | undefined)[];
}

const PATIENCE_MS = 15_000;

/**
 * Publishes the records of a site as its devices would, evenly over `seconds`, and takes the answers. Those with a decision
 * id that came before are repetitions, and count once.
 */
export async function replaySite(
  { site, port, records }: ReplayedSite,
  { pipeline, seconds, live, patienceMs = PATIENCE_MS }: ReplayOptions,
): Promise<SiteReplay> {
  const { spec } = pipeline.document;
  const [template = ''] = spec.source.topics;
  const answers: (Answer | undefined)[] = records.map(() => undefined);
  const decisions = new Set<string>();
  const exchange = await StreamExchange.open({
    port,
    protocol: 'V3',
    name: `replay-${site}`,
    results: [topicOf(spec.result.topic, '+')],
    records: records.length,
    answered: ({ topic, payload }) => {
      const answer = readAnswer(payload);
      if (decisions.has(answer.decisionId)) return undefined;
      decisions.add(answer.decisionId);
      const record = Number(valueIn(spec.result.topic, topic));
      answers[record] ??= answer;
      return record;
    },
    counted: (record, latencyMs) => {
      const answer = answers[record];
      const { sent, answered } = exchange;
      if (answer !== undefined)
        live?.answered({ ...answer, site, id: String(record), latencyMs, sent, answered });
    },
  });
  try {
    await paced(records, (seconds * 1_000) / records.length, ({ cells }, index) => {
      const message = { id: String(index), at: new Date().toISOString(), ...cells };
      exchange.publish(index, topicOf(template, String(index)), Buffer.from(JSON.stringify(message)));
    });
    await eventually(
      `the last answers at ${site}`,
      () => exchange.answered === records.length || undefined,
      patienceMs,
    ).catch(() => undefined);
    return { site, figures: exchange.figures(), latencies: exchange.latencies(), answers };
  } finally {
    await exchange.close();
  }
}
