import type { StreamTriggerSpec } from '@tributary/proto';

import type { TriggerFinder, TriggerHit, TriggerSample } from './trigger.js';

type ThresholdSpec = Extract<StreamTriggerSpec, { type: 'Threshold' }>;

/** `armed`: the value has been on the other side, so that reaching the level is a crossing. */
export interface ThresholdState {
  readonly armed: boolean;
  readonly lastMs: number | null;
}

/**
 * Crossings of a level with hysteresis (a Schmitt trigger). The first value of a stream is no crossing. A missing sample
 * says nothing; a crossing that a gap hides counts at the first sample behind it.
 */
export function thresholdFinder(spec: ThresholdSpec): TriggerFinder<ThresholdState> {
  const sign = spec.direction === 'Rising' ? 1 : -1;
  const level = spec.level * sign;

  function next(state: ThresholdState, { timeMs, value }: TriggerSample, hits: TriggerHit[]): ThresholdState {
    if (value === null) return state;
    const signed = value * sign;
    if (signed < level)
      return state.armed || signed >= level - spec.hysteresis ? state : { ...state, armed: true };
    if (!state.armed) return state;
    if (state.lastMs !== null && timeMs - state.lastMs < spec.refractoryMs) return { ...state, armed: false };
    hits.push({ timeMs, intervalMs: state.lastMs === null ? null : timeMs - state.lastMs });
    return { armed: false, lastMs: timeMs };
  }

  return {
    initial: { armed: false, lastMs: null },
    lookbackMs: 0,
    find(state, samples) {
      const hits: TriggerHit[] = [];
      let current = state;
      for (const sample of samples) current = next(current, sample, hits);
      return { state: current, hits };
    },
  };
}
