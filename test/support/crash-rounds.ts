/** Rounds in which the crashing worker misbehaves: it exits, throws, or hangs. */
export const CRASHES = { exit: 13, throw: 14, hang: 15 } as const;

/** What it throws with. */
export const CRASH_TEXT = 'canary-4711';
