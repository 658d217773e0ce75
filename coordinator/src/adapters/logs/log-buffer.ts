import { LIMITS } from '@tributary/proto';

/** A line as pino wrote it, with what `StreamLogs` selects by. */
export interface BufferedLine {
  readonly line: string;
  /** Values of the fields `job` and `site`, where the line has them. */
  readonly subjects: readonly string[];
}

/** Characters of one kept line: longer ones are cut, so that memory stays below LIMITS.logLinesKept times this. */
const LOG_LINE_LENGTH = 4_096;

/**
 * The newest lines of the log, and who follows them. It is a pino destination: `write` gets one line per call.
 */
export class LogBuffer {
  readonly #capacity: number;
  readonly #lines: BufferedLine[] = [];
  readonly #followers = new Set<(line: BufferedLine) => void>();
  /** Index of the oldest line once the buffer is full: a ring. */
  #oldest = 0;

  constructor(capacity: number = LIMITS.logLinesKept) {
    this.#capacity = capacity;
  }

  write(text: string): void {
    const line = toLine(text.trimEnd());
    if (this.#lines.length < this.#capacity) this.#lines.push(line);
    else {
      this.#lines[this.#oldest] = line;
      this.#oldest = (this.#oldest + 1) % this.#capacity;
    }
    for (const follower of this.#followers) follower(line);
  }

  /** The newest `count` lines that concern `subject` (all of them where it is empty), oldest first. */
  tail(count: number, subject = ''): readonly BufferedLine[] {
    const ordered = [...this.#lines.slice(this.#oldest), ...this.#lines.slice(0, this.#oldest)];
    const chosen = ordered.filter((line) => concerns(line, subject));
    return count === 0 ? [] : chosen.slice(-count);
  }

  /** Calls `follower` for every later line; the result unsubscribes. A follower must not throw. */
  follow(follower: (line: BufferedLine) => void): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }
}

/** True where a line carries this job or site, or where no subject is asked for. */
export function concerns(line: BufferedLine, subject: string): boolean {
  return subject === '' || line.subjects.includes(subject);
}

function toLine(text: string): BufferedLine {
  const subjects: string[] = [];
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
    for (const key of ['job', 'jobName', 'site'] as const) {
      const subject = value[key];
      if (typeof subject === 'string') subjects.push(subject);
    }
  } catch {
    // A line that is no JSON (a crash dump, for example) is kept and concerns nobody in particular.
  }
  return { line: text.length > LOG_LINE_LENGTH ? cut(text) : text, subjects };
}

/** A cut line stays one JSON object, as readers of `LogLine` expect. */
function cut(text: string): string {
  return JSON.stringify({ truncated: true, text: text.slice(0, LOG_LINE_LENGTH) });
}
