import type { Clock } from '../../ports.js';

/** Longest delay that a Node timer takes; a longer one fires at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** The clock of the machine. Its timers do not keep a stopping process alive: listeners and connections do. */
export function systemClock(): Clock {
  return { now: () => Date.now(), at: startTimer };
}

function startTimer(atMs: number, action: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const left = atMs - Date.now();
    // A timer may fire a millisecond early by the wall clock, and the wall clock may be set back: look again.
    const next = left > 0 ? arm : action;
    timer = setTimeout(next, Math.min(Math.max(left, 0), LONGEST_DELAY_MS));
    timer.unref();
  };
  arm();
  return () => {
    clearTimeout(timer);
  };
}
