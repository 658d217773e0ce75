import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Daemon } from '../../support/daemon.js';
import { KILLED, parseTargets, targetText, type Target } from '../inside/targets.js';
import type { ProcessName, World } from '../world.js';

/** What a process persisted, by name, and the target at which it ended. */
export async function callsOf(path: string): Promise<{
  readonly calls: readonly string[];
  readonly killed: readonly Target[];
}> {
  const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  return {
    calls: lines.filter((line) => !line.startsWith(KILLED)),
    killed: lines.flatMap((line) => (line.startsWith(KILLED) ? parseTargets(line.slice(KILLED.length)) : [])),
  };
}

/** A process that is to die at several of its calls, one death after the other, in whatever order they come. */
export class Victim {
  readonly #world: World;
  readonly #name: ProcessName;
  #left: readonly Target[];
  #ended: Promise<void> = Promise.resolve();
  #starts = 0;
  #over = false;

  constructor(world: World, name: ProcessName, targets: readonly Target[]) {
    this.#world = world;
    this.#name = name;
    this.#left = targets;
  }

  /** Where it has not died yet. */
  get left(): readonly Target[] {
    return this.#left;
  }

  start(): Promise<void> {
    return this.#launch((extra) => this.#world.start(this.#name, extra));
  }

  async #launch(start: (extra: { readonly env: Record<string, string> }) => Promise<Daemon>): Promise<void> {
    const path = join(this.#world.folder, `calls-${String((this.#starts += 1))}`);
    const kill = this.#left.map(targetText).join(',');
    const { exited } = await start({ env: { TRIBUTARY_CHAOS_CALLS: path, TRIBUTARY_CHAOS_KILL: kill } });
    this.#ended = exited.then(async ({ signal }) => {
      const [killed] = (await callsOf(path)).killed;
      if (signal !== 'SIGKILL' || killed === undefined) return;
      this.#left = this.#left.filter((target) => targetText(target) !== targetText(killed));
      if (!this.#over) await this.#launch((extra) => this.#world.restart(this.#name, extra));
    });
    this.#ended.catch(() => undefined);
  }

  /** Told to stop: it may die while it does, and is started again in either case. */
  async stopAndStart(): Promise<void> {
    const last = this.#world.last(this.#name);
    const { code } = await last.daemon.stop();
    last.expected = code === 0;
    await this.#ended;
    // Whatever it did not come to as often in one life: the first time counts.
    this.#left = this.#left.map((target) => ({ ...target, which: 1 }));
    if (!this.#world.last(this.#name).daemon.running) await this.start();
    await this.settled();
  }

  /** The coordinator serves, though it may die on the way there a few times. */
  async settled(): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        await this.#world.serving();
        return;
      } catch (error) {
        if (tries === 50) throw error;
        await sleep(100);
      }
    }
  }

  /** It is not started again from here on. */
  retire(): void {
    this.#over = true;
  }
}
