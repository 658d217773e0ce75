import { spawn, type ChildProcess } from 'node:child_process';

/** Milliseconds before a trainer that ended is started again, so that one that cannot start does not fill the machine. */
const RESTART_MS = 1_000;

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

  constructor(settings: ProcessSettings) {
    this.#settings = settings;
  }

  async ensure(): Promise<void> {
    if (this.#child !== undefined) return;
    const wait = this.#startedMs + RESTART_MS - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const { command, environment, path } = this.#settings;
    const [program = '', ...args] = command;
    // What it prints may quote rows.
    const child = spawn(program, args, {
      env: { ...environment, TRIBUTARY_TRAINER_SOCKET: path },
      stdio: ['pipe', 'ignore', 'ignore'],
      shell: false,
    });
    const forget = (): void => {
      if (this.#child === child) this.#child = undefined;
    };
    child.once('error', forget);
    child.once('exit', forget);
    child.unref();
    this.#child = child;
    this.#startedMs = performance.now();
  }

  /** Ends the process; one that hangs too. */
  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}
