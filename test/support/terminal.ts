import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';

/** What a command came to. */
export interface Answer {
  readonly code: number;
  /** Standard output and error, as a reader sees them. */
  readonly text: string;
}

/** One bash that runs one command after another, as somebody at a terminal does. */
export class Terminal {
  readonly #bash: ChildProcess;
  #heard = '';
  #told: () => void = () => undefined;
  #ended: () => void = () => undefined;

  constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.#bash = spawn('bash', ['--norc', '--noprofile'], {
      cwd: folder,
      env: { ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own, so that what it runs hears Ctrl-C with it.
      detached: true,
    });
    this.#bash.once('close', () => this.#ended());
    for (const stream of [this.#bash.stdout, this.#bash.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#heard += text;
        this.#told();
      });
  }

  /** Everything that was printed since the last command began. */
  get shown(): string {
    return this.#heard;
  }

  /** Runs a line to its end. */
  async run(line: string): Promise<Answer> {
    const mark = `end-${randomUUID()}`;
    this.#heard = '';
    this.#bash.stdin?.write(`${line}\nprintf '\\n${mark} %s\\n' "$?"\n`);
    const found = await new Promise<RegExpExecArray>((resolve, reject) => {
      this.#told = () => {
        const match = new RegExp(`\\n${mark} (\\d+)\\n`).exec(this.#heard);
        if (match !== null) resolve(match);
      };
      this.#ended = () => reject(new Error(`bash ended in: ${line}\n${this.#heard}`));
    });
    return { code: Number(found[1]), text: this.#heard.slice(0, found.index) };
  }

  /** Starts a line that does not end by itself. */
  leave(line: string): void {
    this.#heard = '';
    this.#bash.stdin?.end(`${line}\n`);
  }

  /** Ctrl-C, and the end of the shell. */
  async close(): Promise<void> {
    const { pid } = this.#bash;
    if (pid === undefined || this.#bash.exitCode !== null || this.#bash.signalCode !== null) return;
    const closed = new Promise((resolve) => this.#bash.once('close', resolve));
    this.#bash.stdin?.end();
    try {
      process.kill(-pid, 'SIGINT');
    } catch {
      return;
    }
    await closed;
  }
}
