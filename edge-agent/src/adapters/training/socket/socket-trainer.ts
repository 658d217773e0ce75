import { LIMITS } from '@tributary/proto';

import type {
  EvaluationResult,
  EvaluationTask,
  Trainer,
  TrainingEvents,
  TrainingResult,
  TrainingTask,
} from '../../../ports.js';
import { WorkerTrainer } from '../worker-trainer.js';
import type { SocketSettings } from './socket-runner.js';
import { TrainerProcess } from './trainer-process.js';

export interface SocketTrainerOptions {
  /** Absolute path of the Unix socket on which the trainer listens. */
  readonly path: string;
  /** Program and arguments; without them something else starts the trainer. */
  readonly command?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Of tests; LIMITS otherwise. */
  readonly limits?: Partial<Omit<SocketSettings, 'path'>>;
}

/**
 * A trainer in a process of its own, in whatever language, behind a Unix socket (edge-agent/TRAINER.md). Rows are encoded
 * and metrics computed in a worker thread of the agent; the other process sees numbers only.
 */
export class SocketTrainer implements Trainer {
  readonly backend = 'socket';
  readonly #process: TrainerProcess | undefined;
  readonly #worker: WorkerTrainer;

  constructor({ path, command, environment, limits }: SocketTrainerOptions) {
    this.#process = command && new TrainerProcess({ command, environment, path });
    const settings: SocketSettings = {
      path,
      startMs: LIMITS.trainerStartMs,
      idleMs: LIMITS.trainerIdleMs,
      taskMs: LIMITS.trainerTaskMs,
      stopMs: LIMITS.trainerStopMs,
      ...limits,
    };
    this.#worker = new WorkerTrainer({
      entry: new URL('./socket-worker.js', import.meta.url),
      workerData: settings,
      // The worker gives the trainer its time to stop, and then stops by itself.
      stopMs: settings.stopMs + LIMITS.trainerStopMs,
    });
  }

  train(task: TrainingTask, events: TrainingEvents): Promise<TrainingResult> {
    return this.#run(() => this.#worker.train(task, events));
  }

  evaluate(task: EvaluationTask): Promise<EvaluationResult> {
    return this.#run(() => this.#worker.evaluate(task));
  }

  async close(): Promise<void> {
    await this.#worker.close();
    this.#process?.close();
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    return this.#process === undefined ? work() : this.#process.during(work);
  }
}
