/** A start of a process. */
export interface Start {
  readonly name: string;
  readonly execMs: number;
  /** Whether it was started again after a fault. */
  readonly again: boolean;
}

/** What a process wrote when it was there again: a coordinator that it serves, an agent that it is connected. */
export interface Sign {
  readonly name: string;
  readonly timeMs: number;
}

/**
 * Seconds from each exec after a fault until the process was back: a coordinator until it serves and the agents that lost it
 * are connected again, an agent until it is connected. A process that died before that has no figure: its next start has
 * one. Times in milliseconds since the epoch, by one clock.
 */
export function recoveries(starts: readonly Start[], signs: readonly Sign[]): readonly number[] {
  const startsOf = (name: string): readonly Start[] => starts.filter((start) => start.name === name);
  const lifeOf = ({ name, execMs }: Start): number =>
    Math.min(...startsOf(name).flatMap((other) => (other.execMs > execMs ? [other.execMs] : [])), Infinity);
  return starts
    .filter(({ again }) => again)
    .flatMap((start) => {
      const end = lifeOf(start);
      const within = signs.filter(({ timeMs }) => timeMs >= start.execMs && timeMs < end);
      const own = within.find(({ name }) => name === start.name);
      if (own === undefined) return [];
      const others = start.name === 'coordinator' ? firstOfEach(within, startsOf, start.execMs) : [];
      return [Math.max(own.timeMs, ...others) - start.execMs];
    })
    .map((ms) => ms / 1_000);
}

/** The first sign of each agent that ran already; one that was started later has a figure of its own. */
function firstOfEach(
  signs: readonly Sign[],
  startsOf: (name: string) => readonly Start[],
  execMs: number,
): readonly number[] {
  const firsts = new Map<string, number>();
  for (const { name, timeMs } of signs) {
    if (firsts.has(name) || name === 'coordinator') continue;
    firsts.set(name, timeMs);
  }
  return [...firsts].flatMap(([name, timeMs]) =>
    startsOf(name).some((start) => start.execMs > execMs && start.execMs <= timeMs) ? [] : [timeMs],
  );
}
