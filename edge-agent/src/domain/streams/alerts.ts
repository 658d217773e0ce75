import type { StreamAlertSpec } from '@tributary/proto';

import { alertId } from './identity.js';

/** Where the alerts of one key stand, by their names. Plain data. */
export type AlertState = Readonly<Record<string, AlertStanding>>;

export interface AlertStanding {
  /** From when on outputs have been high without being low between; null while they are not. */
  readonly sinceMs: number | null;
  readonly raised: boolean;
  /** Time of the newest output that was judged. */
  readonly seenMs: number;
}

export const INITIAL_ALERTS: AlertState = {};

/** Outputs for one row: of the model, or numbers of the row where there is no model. */
export interface Scored {
  /** End of the window, or time of the record. */
  readonly timeMs: number;
  readonly outputs: Readonly<Record<string, number>>;
}

export interface AlertEffect {
  readonly type: 'Raised' | 'Cleared';
  readonly alert: string;
  /** Of the episode: raising and clearing share it. */
  readonly id: string;
  readonly sinceMs: number;
  readonly timeMs: number;
  readonly value: number;
}

export interface AlertStep {
  readonly state: AlertState;
  readonly effects: readonly AlertEffect[];
}

/** Judges the outputs of one key, in the order in which its decisions come. Pure. */
export type AlertJudge = (key: string, state: AlertState, scored: Scored) => AlertStep;

/**
 * Compiles the alerts of a pipeline. One is raised once outputs of `above` or more have lasted for `holdMs` of event time,
 * and cleared by the first under `below`; between the two nothing changes (hysteresis). One of direction Low is raised by
 * outputs of `below` or less, and cleared by the first over `above`. An output older than one that was
 * judged already, or the same again, says nothing new.
 */
export function compileAlerts(
  pipeline: string,
  alerts: readonly StreamAlertSpec[],
  modelOutput?: string,
): AlertJudge {
  return (key, state, scored) => {
    let next = state;
    const effects: AlertEffect[] = [];
    for (const alert of alerts) {
      const output = alert.output ?? modelOutput ?? '';
      const value = Object.hasOwn(scored.outputs, output) ? scored.outputs[output] : undefined;
      if (value === undefined || !Number.isFinite(value)) continue;
      const before = Object.hasOwn(state, alert.name) ? state[alert.name] : undefined;
      const judged = judge(alert, before, scored.timeMs, value);
      if (judged === undefined) continue;
      next = { ...next, [alert.name]: judged.standing };
      if (judged.change === undefined) continue;
      const { type, sinceMs } = judged.change;
      const id = alertId(pipeline, key, alert.name, sinceMs);
      effects.push({ type, alert: alert.name, id, sinceMs, timeMs: scored.timeMs, value });
    }
    return { state: next, effects };
  };
}

interface Judged {
  readonly standing: AlertStanding;
  readonly change?: { readonly type: 'Raised' | 'Cleared'; readonly sinceMs: number };
}

const UNSEEN: AlertStanding = { sinceMs: null, raised: false, seenMs: -1 };

/** What raises and what clears an alert, for high values: low ones are high when they are negated. */
interface Levels {
  readonly sign: 1 | -1;
  readonly raises: number;
  readonly clears: number;
}

/** The document has been checked: the level that raises is there. */
function levelsOf({ direction, above, below }: StreamAlertSpec): Levels {
  const sign = direction === 'High' ? 1 : -1;
  const [raises = Infinity, clears = raises] = direction === 'High' ? [above, below] : [below, above];
  return { sign, raises: sign * raises, clears: sign * clears };
}

/** Undefined where nothing is to be remembered of the value. */
function judge(
  alert: StreamAlertSpec,
  before: AlertStanding = UNSEEN,
  timeMs: number,
  value: number,
): Judged | undefined {
  if (timeMs < before.seenMs) return undefined;
  const { sign, raises, clears } = levelsOf(alert);
  const { holdMs } = alert;
  // Between the two levels an alert that is raised stays so, and one that is not does not begin to wait.
  if (sign * value < (before.raised ? clears : raises)) return lowered(before, timeMs);
  const sinceMs = before.sinceMs ?? timeMs;
  const raised = before.raised || timeMs - sinceMs >= holdMs;
  const standing = { sinceMs, raised, seenMs: timeMs };
  return raised && !before.raised ? { standing, change: { type: 'Raised', sinceMs } } : { standing };
}

function lowered({ raised, sinceMs }: AlertStanding, timeMs: number): Judged {
  const standing = { ...UNSEEN, seenMs: timeMs };
  return raised && sinceMs !== null ? { standing, change: { type: 'Cleared', sinceMs } } : { standing };
}
