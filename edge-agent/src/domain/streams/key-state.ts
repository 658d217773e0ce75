import { INITIAL_RECENT, type RecentIds } from './recent-ids.js';
import { lastTime, type Run } from './run.js';
import type { TriggerHit } from './triggers/trigger.js';

/** Where the windows of one key stand. Values that never change: any of them may be written to disk as it is. */
export interface KeyState {
  /** Everything before this has been waited for; null where nothing came yet. Never falls. */
  readonly watermarkMs: number | null;
  /** Nothing before this is taken any more. Never falls. */
  readonly floorMs: number | null;
  /** End of the newest run. */
  readonly newestMs: number | null;
  /** Clock of the site when the last message came. */
  readonly arrivalMs: number;
  /** What open windows may need, in the order of compareRuns. */
  readonly runs: readonly Run[];
  readonly recent: RecentIds;
  /** Of windows of type Event: state of the trigger and hits whose windows are open, oldest first. */
  readonly trigger: unknown;
  readonly hits: readonly TriggerHit[];
}

export function initialKeyState(trigger: unknown): KeyState {
  return {
    watermarkMs: null,
    floorMs: null,
    newestMs: null,
    arrivalMs: 0,
    runs: [],
    recent: INITIAL_RECENT,
    trigger,
    hits: [],
  };
}

/** Whether something is held that no window was closed with. */
export function isOpen({ runs, hits, floorMs }: KeyState): boolean {
  return hits.length > 0 || runs.some((run) => floorMs === null || lastTime(run) >= floorMs);
}
