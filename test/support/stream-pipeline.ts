import { parseStreamPipeline, type StreamPipeline } from '@tributary/proto';
import { compileDecoder, type StreamItem } from '@tributary/edge-agent/internal/domain/streams/decoding.js';
import { isFault } from '@tributary/edge-agent/internal/domain/streams/fault.js';
import type { KeyState } from '@tributary/edge-agent/internal/domain/streams/key-state.js';
import { compileKeyStream } from '@tributary/edge-agent/internal/domain/streams/key-stream.js';
import type { Decision, KeyEffect } from '@tributary/edge-agent/internal/domain/streams/key-step.js';
import type { StreamMessage } from '@tributary/edge-agent/internal/domain/streams/payload/message.js';

type Members = Readonly<Record<string, unknown>>;

/** A pipeline of records in JSON; `changes` replace members of its spec. */
export function pipelineDocument(changes: Members = {}): Members {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'vitals' },
    spec: {
      model: { name: 'sepsis', output: 'bad' },
      source: { broker: 'ward', topics: ['site/+/bed/{bed}/vitals'] },
      payload: { type: 'Json', columns: { pulse: 'vitals.pulse' }, time: { type: 'Path', path: 't' } },
      key: '{bed}',
      result: { topic: 'site/bed/{bed}/sepsis' },
      ...changes,
    },
  };
}

export const pipeline = (changes: Members = {}): StreamPipeline =>
  parseStreamPipeline(pipelineDocument(changes));

export function message(payload: unknown, changes: Partial<StreamMessage> = {}): StreamMessage {
  return {
    topic: 'site/a/bed/7/vitals',
    payload: payload instanceof Uint8Array ? payload : new TextEncoder().encode(JSON.stringify(payload)),
    properties: {},
    arrivalMs: 1_700_000_000_000,
    redelivered: false,
    ...changes,
  };
}

export interface Played {
  readonly decisions: readonly Decision[];
  readonly effects: readonly KeyEffect[];
  readonly states: ReadonlyMap<string, KeyState>;
}

/**
 * Runs messages through decoder and windows as the engine would, every key by itself; `between` may replace the state
 * between two steps, as a restart does.
 */
export function play(
  document: StreamPipeline,
  messages: readonly StreamMessage[],
  { flush = true, between = (state: KeyState): KeyState => state } = {},
): Played {
  const decode = compileDecoder(document.spec);
  const stream = compileKeyStream(document.metadata.name, document.spec);
  const states = new Map<string, KeyState>();
  const effects: KeyEffect[] = [];
  let input = 0;
  const take = (key: string, event: Parameters<typeof stream.step>[2]): void => {
    const step = stream.step(key, between(states.get(key) ?? stream.initial), event);
    states.set(key, step.state);
    effects.push(...step.effects);
  };
  for (const one of messages) {
    const items = decode(one);
    if (isFault(items)) throw new Error(`not decoded: ${items.reason} ${items.field ?? ''}`);
    for (const item of items)
      take(item.key, {
        type: 'Item',
        input: input++,
        item,
        arrivalMs: one.arrivalMs,
        redelivered: one.redelivered,
      });
  }
  if (flush) for (const key of [...states.keys()]) take(key, { type: 'Flush' });
  const decisions = effects.flatMap((effect) => (effect.type === 'Decide' ? [effect.decision] : []));
  return { decisions, effects, states };
}

/** The items of a message that must be readable. */
export function itemsOf(document: StreamPipeline, one: StreamMessage): readonly StreamItem[] {
  const items = compileDecoder(document.spec)(one);
  if (isFault(items)) throw new Error(`not decoded: ${items.reason} ${items.field ?? ''}`);
  return items;
}
