import type { StreamAlertSpec } from '@tributary/proto';

import type { WindowResult } from './bed-results.js';

/** An alert as it is published. */
export interface Alarm {
  readonly type: 'Raised' | 'Cleared';
  /** End of the window that decided it. */
  readonly timeMs: number;
  readonly value: number;
}

export function readAlarm(payload: Uint8Array): Alarm {
  const { type, timeMs, value } = JSON.parse(Buffer.from(payload).toString()) as Alarm;
  return { type, timeMs, value };
}

/** What an alert with hysteresis says of windows in their order, by its rule alone. */
export function alarmsOf(
  { output = '', above = Infinity, below = above }: StreamAlertSpec,
  windows: readonly WindowResult[],
): readonly Alarm[] {
  const alarms: Alarm[] = [];
  let raised = false;
  for (const { row, window } of windows) {
    const value = row[output];
    if (typeof value !== 'number' || (raised ? value >= below : value < above)) continue;
    raised = !raised;
    alarms.push({ type: raised ? 'Raised' : 'Cleared', timeMs: window.endMs, value });
  }
  return alarms;
}
