import { LIMITS, TributaryError } from '@tributary/proto';

import { completion, nextStep, type NextStep } from '../domain/next-step.js';
import { isTrained } from '../domain/rounds/next-round.js';
import type { Clock } from '../ports.js';
import type { AppLog } from './app-log.js';
import type { Federation } from './federation.js';
import { refOf } from './round-ref.js';
import type { DueStep, RoundSteps } from './round-steps.js';

export interface RunnerParts {
  readonly federation: Federation;
  readonly steps: RoundSteps;
  readonly clock: Clock;
  readonly log: AppLog;
}

/** What became of a step. */
type Outcome = 'done' | 'again' | 'pause';

/**
 * Drives jobs and rounds. The next step is judged from the state, not from what happened, so that nothing is lost with a
 * restart or an event that nobody heard. A step that fails never ends the loop: its round or job fails with the reason,
 * or, where another try may succeed (a full disk), it is tried again after a pause.
 */
export class RoundRunner {
  readonly #parts: RunnerParts;
  #loop: Promise<void> | undefined;
  #stopped = false;
  #woken = false;
  #rouse: () => void = () => undefined;
  readonly #since: number;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
  }

  start(): void {
    this.#loop ??= this.#run().catch((error: unknown) => {
      this.#parts.log.error({ error }, 'the round runner has ended');
    });
  }

  /** Looks at the state again: call when it, or the connections, changed. */
  wake(): void {
    this.#woken = true;
    this.#rouse();
  }

  /** Finishes the step at work and stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.wake();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#woken = false;
      const step = this.#next();
      if (step.kind === 'wait') await this.#sleep(step.untilMs, true);
      else if ((await this.#perform(step)) === 'pause') await this.#sleep(this.#retryAt(), false);
    }
  }

  #next(): NextStep {
    const { federation, steps, clock, log } = this.#parts;
    try {
      const sites = { connectedSites: steps.connectedSites(), secureSites: steps.connectedSites(true) };
      return nextStep(federation.state, { now: clock.now(), since: this.#since, ...sites });
    } catch (error) {
      log.error({ error }, 'the next step could not be judged');
      return { kind: 'wait', untilMs: this.#retryAt() };
    }
  }

  #retryAt(): number {
    return this.#parts.clock.now() + LIMITS.stepRetryMs;
  }

  async #perform(step: DueStep): Promise<Outcome> {
    const { federation, steps } = this.#parts;
    const before = federation.size();
    try {
      await steps.perform(step);
      // A step that changes nothing would be the next one again, at once and for ever.
      return federation.size() > before ? 'done' : 'pause';
    } catch (error) {
      return federation.size() > before ? 'again' : this.#mishap(step, TributaryError.from(error));
    }
  }

  async #mishap(step: DueStep, error: TributaryError): Promise<Outcome> {
    const { log } = this.#parts;
    if (error.code === 'SHUTTING_DOWN') return 'pause';
    log.error({ error, step: step.kind, ...subjectOf(step) }, 'a step failed');
    // A secure round that cannot be unmasked now never can be: its stages are closed.
    const again = error.retryable && !error.code.startsWith('SECAGG_');
    if (again || error.code === 'CONFLICT') return 'pause';
    try {
      return (await this.#recordFailure(step, error)) ? 'done' : 'pause';
    } catch (cause) {
      log.error({ error: cause, step: step.kind }, 'the failure of a step could not be recorded');
      return 'pause';
    }
  }

  /** Fails the round or the job that the step was about; false where it was about the end of one. */
  async #recordFailure(step: DueStep, { code, message: detail }: TributaryError): Promise<boolean> {
    const { steps } = this.#parts;
    switch (step.kind) {
      case 'close-stage':
      case 'commit-round':
        await steps.execute({
          kind: 'fail-round',
          ...refOf(step),
          code,
          detail,
          culprits: steps.culpritsOf(refOf(step)),
        });
        return true;
      case 'open-round':
        return (await this.#endUnmeasured(step.jobId)) || this.#failJob(step.jobId, code, detail);
      case 'start-job':
      case 'register-model':
        return this.#failJob(step.jobId, code, detail);
      case 'fail-round':
      case 'fail-job':
      case 'complete-job':
      case 'delete-job':
        return false;
    }
  }

  /** Registers the model of a job of which only the evaluation cannot be held; false where there is no model yet. */
  async #endUnmeasured(jobId: string): Promise<boolean> {
    const { steps, federation } = this.#parts;
    const job = federation.state.jobs.get(jobId);
    if (job === undefined || !isTrained(job)) return false;
    const end = completion(federation.state, job);
    if (end.kind !== 'wait') await steps.perform(end);
    return true;
  }

  async #failJob(jobId: string, code: string, detail: string): Promise<true> {
    await this.#parts.steps.execute({ kind: 'fail-job', jobId, code, detail });
    return true;
  }

  /** Resolves at `untilMs`, when the runner stops, or, where `mayWake`, when it is woken. */
  #sleep(untilMs: number | undefined, mayWake: boolean): Promise<void> {
    return new Promise((resolve) => {
      let cancel = (): void => undefined;
      const end = (): void => {
        cancel();
        this.#rouse = () => undefined;
        resolve();
      };
      this.#rouse = () => {
        if (mayWake || this.#stopped) end();
      };
      if (untilMs !== undefined) cancel = this.#parts.clock.at(untilMs, end);
      if (this.#woken || this.#stopped) this.#rouse();
    });
  }
}

function subjectOf(step: DueStep): Readonly<Record<string, unknown>> {
  const { kind: _, ...subject } = step;
  return subject;
}
