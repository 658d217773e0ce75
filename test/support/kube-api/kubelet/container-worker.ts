import { setTimeout as sleep } from 'node:timers/promises';

import { field, textAt } from '../../kube/field.js';
import { inBackground } from '../background.js';
import { timestamp, type Fields, type KubeObject } from '../objects.js';
import type { Prober } from './probes.js';
import type { RunningContainer } from './runtime.js';

/** Between two questions of a probe: sooner than a kubelet asks, failures are counted in time. */
const PROBE_MS = 300;
/** Before a container is started again. */
const BACKOFF_MS = 500;

export interface ContainerWork {
  readonly container: unknown;
  /** Init containers run to their end and are started again until that is a good one. */
  readonly isInit: boolean;
  readonly restartPolicy: string;
  readonly start: () => Promise<RunningContainer>;
  readonly prober: Prober;
  readonly pod: () => KubeObject;
  readonly changed: () => void;
  /** How long it may take to end. */
  readonly graceMs: () => number;
}

/** One container of a pod: started, probed, started again, ended. */
export class ContainerWorker {
  readonly #work: ContainerWork;
  #running: RunningContainer | undefined;
  #ready = false;
  #started = false;
  #restarts = 0;
  #stopping = false;
  #state: Fields = { waiting: { reason: 'ContainerCreating' } };
  #last: Fields = {};
  #log = '';

  constructor(work: ContainerWork) {
    this.#work = work;
  }

  get name(): string {
    return textAt(this.#work.container, 'name');
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Its exit code once it has ended for good. */
  get exitCode(): number | undefined {
    const code = field(this.#state, 'terminated', 'exitCode');
    return typeof code === 'number' ? code : undefined;
  }

  /** Runs until it has ended for good, or is stopped; gives the exit code. */
  async run(): Promise<number> {
    for (;;) {
      const code = await this.#once();
      const again =
        !this.#stopping &&
        (this.#work.restartPolicy === 'Always'
          ? !(this.#work.isInit && code === 0)
          : this.#work.restartPolicy === 'OnFailure' && code !== 0);
      if (!again) return code;
      this.#last = this.#state;
      this.#state = { waiting: { reason: 'CrashLoopBackOff' } };
      this.#restarts += 1;
      this.#work.changed();
      await sleep(BACKOFF_MS);
      if (this.#stopping) return code;
    }
  }

  /** preStop, then SIGTERM, and SIGKILL when the time is over. */
  async stop(graceSeconds: number): Promise<void> {
    this.#stopping = true;
    this.#ready = false;
    const running = this.#running;
    if (running === undefined) return;
    const end = Date.now() + graceSeconds * 1_000;
    await this.#beforeStop(running, end);
    await running.stop(Math.max(0, end - Date.now()));
  }

  /** What it printed so far, in all its runs. */
  async log(): Promise<string> {
    return this.#log + ((await this.#running?.log()) ?? '');
  }

  status(): Fields {
    const { container } = this.#work;
    const image = String(field(container, 'image'));
    return {
      ...{
        name: field(container, 'name'),
        image,
        imageID: image,
        ready: this.#ready,
        started: this.#started,
      },
      ...{ restartCount: this.#restarts, state: this.#state, lastState: this.#last },
    };
  }

  async #once(): Promise<number> {
    const { start, changed, isInit, container } = this.#work;
    const running = await start();
    this.#running = running;
    if (this.#stopping) await running.stop(0);
    const startedAt = timestamp();
    this.#state = { running: { startedAt } };
    const ended = new AbortController();
    if (!isInit) {
      this.#started = field(container, 'startupProbe') === undefined;
      this.#ready = this.#started && field(container, 'readinessProbe') === undefined;
      inBackground(this.#probe(running, ended.signal));
    }
    changed();
    const exitCode = await running.exited;
    ended.abort();
    // What it printed outlives it; what it held does not.
    await running.stop(0);
    this.#log += await running.log();
    this.#running = undefined;
    this.#started = false;
    this.#ready = isInit && exitCode === 0;
    const reason = exitCode === 0 ? 'Completed' : 'Error';
    this.#state = { terminated: { exitCode, reason, startedAt, finishedAt: timestamp() } };
    changed();
    return exitCode;
  }

  async #beforeStop(running: RunningContainer, end: number): Promise<void> {
    const hook = field(this.#work.container, 'lifecycle', 'preStop');
    const seconds = field(hook, 'sleep', 'seconds');
    const command = field(hook, 'exec', 'command');
    if (typeof seconds === 'number')
      await Promise.race([sleep(Math.min(seconds * 1_000, end - Date.now())), running.exited]);
    if (Array.isArray(command)) await running.exec(...command.map(String));
  }

  async #probe(running: RunningContainer, ended: AbortSignal): Promise<void> {
    const { container, prober, pod, changed } = this.#work;
    const since = { startupProbe: Date.now(), livenessProbe: Date.now(), readinessProbe: Date.now() };
    /** Milliseconds since it was well; 0 where it is. */
    const failsFor = async (name: keyof typeof since): Promise<number> => {
      const probe = field(container, name);
      const isWell = probe === undefined || (await prober(pod(), probe, running));
      if (isWell) since[name] = Date.now();
      return isWell ? 0 : Math.max(1, Date.now() - since[name]);
    };
    const limit = (name: keyof typeof since): number =>
      Number(field(container, name, 'periodSeconds') ?? 0) *
      Number(field(container, name, 'failureThreshold') ?? 0) *
      1_000;
    while (!ended.aborted) {
      const stage = this.#started ? 'livenessProbe' : 'startupProbe';
      const failing = await failsFor(stage);
      if (ended.aborted) return;
      if (failing > 0 && failing > limit(stage)) {
        await running.stop(this.#work.graceMs());
        return;
      }
      if (failing === 0 && !this.#started) {
        this.#started = true;
        since.livenessProbe = Date.now();
      }
      const ready = this.#started && (await failsFor('readinessProbe')) === 0;
      if (ready !== this.#ready && !this.#stopping) {
        this.#ready = ready;
        changed();
      }
      await sleep(PROBE_MS);
    }
  }
}
