import type { TributaryError } from '@tributary/proto';
import type { AdminConnection } from '@tributary/coordinator/internal/cli/admin-connection.js';
import { EMPTY_CONTEXT_FILE, type ContextFile } from '@tributary/coordinator/internal/cli/context-file.js';
import type { Terminal } from '@tributary/coordinator/internal/cli/output/terminal.js';
import { buildProgram, descendants, usageError } from '@tributary/coordinator/internal/cli/program.js';
import type { Session } from '@tributary/coordinator/internal/cli/session.js';
import { CommanderError } from 'commander';

/** A terminal that keeps what is printed. */
export class RecordedTerminal implements Terminal {
  readonly interactive = false;
  readonly results: string[] = [];
  readonly notes: string[] = [];

  out(line: string): void {
    this.results.push(line);
  }

  note(line: string): void {
    this.notes.push(line);
  }
}

export interface AdminCall {
  readonly method: string;
  readonly request: Readonly<Record<string, unknown>>;
}

/** Answers of a coordinator: for each method what comes back, or throws. A stream is an array or a generator. */
export type AdminAnswers = Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => unknown>>;

/** A session of the CLI with a coordinator that answers from a script; 2026-01-01 in its clock unless a test sets it. */
export class CliSession {
  readonly terminal = new RecordedTerminal();
  readonly calls: AdminCall[] = [];
  readonly interrupt = new AbortController();
  contexts: ContextFile = EMPTY_CONTEXT_FILE;
  /** Milliseconds since the epoch. */
  now = Date.parse('2026-01-01T00:00:00.000Z');
  /** A real coordinator, in the place of the script. */
  connection: AdminConnection | undefined;
  readonly #answers: AdminAnswers;

  constructor(answers: AdminAnswers = {}) {
    this.#answers = answers;
  }

  get session(): Session {
    return {
      terminal: this.terminal,
      contextPath: '/nowhere/config.yaml',
      now: () => this.now,
      signal: this.interrupt.signal,
      contextFile: () => Promise.resolve(this.contexts),
      saveContextFile: (file) => {
        this.contexts = file;
        return Promise.resolve();
      },
      // Commands use these two methods alone.
      admin: () =>
        Promise.resolve(
          this.connection ?? ({ unary: this.#unary, stream: this.#stream } as unknown as AdminConnection),
        ),
    };
  }

  /** Runs words of a command line; rejects as the command does, with USAGE where the words are wrong. */
  async run(...words: readonly string[]): Promise<void> {
    const program = buildProgram((_options, command) => command(this.session));
    for (const command of [program, ...descendants(program)]) {
      command.configureOutput({ writeErr: () => undefined, writeOut: (text) => this.terminal.out(text) });
    }
    try {
      await program.parseAsync([...words], { from: 'user' });
    } catch (error) {
      const usage: TributaryError | undefined =
        error instanceof CommanderError ? usageError(error) : undefined;
      if (usage !== undefined) throw usage;
      if (!(error instanceof CommanderError)) throw error;
    }
  }

  readonly #unary = async (method: string, request: Readonly<Record<string, unknown>>): Promise<unknown> => {
    this.calls.push({ method, request });
    await Promise.resolve();
    const answer = this.#answers[method];
    if (answer === undefined) throw new Error(`the script has no answer to ${method}`);
    return answer(request);
  };

  readonly #stream = async function* (
    this: CliSession,
    method: string,
    request: Readonly<Record<string, unknown>>,
  ): AsyncGenerator<unknown> {
    yield* (await this.#unary(method, request)) as AsyncIterable<unknown> | Iterable<unknown>;
  }.bind(this);
}
