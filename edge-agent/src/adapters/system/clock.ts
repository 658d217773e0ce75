import type { Clock } from '../../ports.js';

/** setTimeout takes 31 bits of milliseconds; longer waits are cut into steps. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. A timer keeps the process alive until it fires or is cancelled. */
export const systemClock: Clock = {
  now: () => Date.now(),
  at(atMs, action) {
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const left = Math.max(0, atMs - Date.now());
      timer = setTimeout(left > MAX_TIMER_MS ? arm : action, Math.min(left, MAX_TIMER_MS));
    };
    arm();
    return () => {
      clearTimeout(timer);
    };
  },
};
