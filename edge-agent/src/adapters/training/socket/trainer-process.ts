import { spawn, type ChildProcess } from 'node:child_process';

import { LIMITS } from '@tributary/proto';

export interface ProcessSettings {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Told to the process as TRIBUTARY_TRAINER_SOCKET. */
  readonly path: string;
}

/**
 * A trainer that the agent starts itself, without a shell, when there is work, and again where it has ended. Its standard
 * input is a pipe that nothing is written to: it closes when the agent dies, however it dies.
 */
export class TrainerProcess {
  readonly #settings: ProcessSettings;
  #child: ChildProcess | undefined;
  #startedMs = Number.NEGATIVE_INFINITY;
  #restart: NodeJS.Timeout | undefined;
  /** Tasks that need it. */
  #tasks = 0;

  constructor(settings: ProcessSettings) {
    this.#settings = settings;
  }

  /** Keeps the process running while `work` goes on. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#tasks += 1;
    this.#ensure();
    try {
      return await work();
    } finally {
      this.#tasks -= 1;
    }
  }

  /** Ends the process; one that hangs too. */
  close(): void {
    this.#tasks = 0;
    clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  #ensure(): void {
    if (this.#child !== undefined || this.#tasks === 0) return;
    clearTimeout(this.#restart);
    const wait = this.#startedMs + LIMITS.trainerRestartMs - performance.now();
    if (wait <= 0) this.#start();
    else this.#restart = setTimeout(() => this.#ensure(), wait);
  }

  #start(): void {
    const { command, environment, path } = this.#settings;
    const [program = '', ...args] = command;
    // What it prints may quote rows.
    const child = spawn(program, args, {
      env: { ...environment, TRIBUTARY_TRAINER_SOCKET: path },
      stdio: ['pipe', 'ignore', 'ignore'],
      shell: false,
    });
    const ended = (): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#ensure();
    };
    child.once('error', ended);
    child.once('exit', ended);
    child.unref();
    this.#child = child;
    this.#startedMs = performance.now();
  }
}
