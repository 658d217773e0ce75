import { type TimeWindowSpec } from '@tributary/proto';

import { gapsBetween } from './gaps.js';
import { windowDecisionId } from './identity.js';
import { insert } from './insertion.js';
import { instant } from './instant.js';
import type { Decision, KeyEffect, KeyEvent, KeyStep, KeyStream } from './key-step.js';
import { initialKeyState, isOpen, type KeyState } from './key-state.js';
import { pointCount, reduceWindow, slicesBetween } from './reduction.js';
import type { Run } from './run.js';
import { planFor } from './windows/plans.js';
import { skipBefore } from './windows/run-times.js';
import type { ClosedWindow } from './windows/window-plan.js';

/** Twice the error of two rounded times. */
const ROUNDING_MS = 0.002;

/** Windows of time: samples are held until the windows that they lie in are complete. */
export function windowStream(pipeline: string, window: TimeWindowSpec): Pick<KeyStream, 'initial' | 'step'> {
  const plan = planFor(window);

  function decisionOn(closed: ClosedWindow, runs: readonly Run[], key: string): Decision {
    const { startMs, trigger } = closed;
    const endMs = instant(closed.endMs);
    // A window around a sample begins and ends with samples, whose times are rounded to microseconds.
    const slack = trigger === undefined ? 0 : ROUNDING_MS;
    const slices = slicesBetween(runs, startMs - slack, endMs - slack);
    const held = slices.map(({ run }) => run);
    return {
      id: windowDecisionId({ pipeline, key, startMs, endMs }),
      key,
      startMs,
      endMs,
      row: reduceWindow(window.reduce, slices, closed),
      points: pointCount(slices),
      gaps: gapsBetween(held, startMs, endMs),
      labels: held.at(-1)?.labels ?? {},
      ...(trigger && { trigger }),
    };
  }

  function decisions(
    key: string,
    runs: readonly Run[],
    windows: readonly ClosedWindow[],
  ): readonly KeyEffect[] {
    let skipped = 0;
    return windows.map((closed) => {
      skipped = skipBefore(runs, skipped, closed.startMs - ROUNDING_MS);
      return { type: 'Decide', decision: decisionOn(closed, runs.slice(skipped), key) };
    });
  }

  function advance(key: string, state: KeyState, watermarkMs: number): KeyStep {
    if (state.watermarkMs !== null && watermarkMs <= state.watermarkMs) return { state, effects: [] };
    const advanced = plan.advance(state, watermarkMs);
    return { state: advanced.state, effects: decisions(key, state.runs, advanced.windows) };
  }

  function take(key: string, state: KeyState, event: Extract<KeyEvent, { type: 'Item' }>): KeyStep {
    const inserted = insert(state, event, window.late === 'DeadLetter');
    const { newestMs } = inserted.state;
    const step =
      inserted.by !== 'State' || newestMs === null
        ? { state: inserted.state, effects: [] }
        : advance(key, inserted.state, instant(newestMs - window.latenessMs));
    const completed: KeyEffect = { type: 'Completed', input: event.input, by: inserted.by };
    return { state: step.state, effects: [...inserted.effects, ...step.effects, completed] };
  }

  const flush = (key: string, state: KeyState): KeyStep =>
    isOpen(state) ? advance(key, state, instant(plan.flushedMs(state))) : { state, effects: [] };

  return {
    initial: initialKeyState(plan.initialTrigger),
    step(key, state, event) {
      switch (event.type) {
        case 'Item':
          return take(key, state, event);
        case 'Clock': {
          const idle = window.idleMs !== undefined && event.nowMs - state.arrivalMs >= window.idleMs;
          return idle ? flush(key, state) : { state, effects: [] };
        }
        case 'Flush':
          return flush(key, state);
      }
    },
  };
}
