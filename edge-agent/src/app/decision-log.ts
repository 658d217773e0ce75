import {
  encodeDecision,
  EMPTY_DECISIONS,
  followDecision,
  type Decision,
  type DecisionHead,
  type DecisionNote,
} from '../domain/decision.js';
import { digestOf } from '@tributary/proto';
import type { LineLog } from '../ports.js';

/** Decisions that `status` shows. */
const RECENT = 20;

/** The site's own record of what it allowed and refused: lines that each name the digest of the one before. */
export class DecisionLog {
  readonly #lines: LineLog;
  #head: DecisionHead;
  #recent: readonly Decision[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(lines: LineLog, head: DecisionHead) {
    this.#lines = lines;
    this.#head = head;
  }

  /** Verifies the whole chain; rejects with STORE_CORRUPT where a line was altered, FORMAT_UNSUPPORTED if newer. */
  static async open(lines: LineLog): Promise<DecisionLog> {
    let head = EMPTY_DECISIONS;
    for await (const line of lines.read()) head = followDecision(head, line);
    return new DecisionLog(lines, head);
  }

  get head(): DecisionHead {
    return this.#head;
  }

  /** The newest decisions of this process, oldest first. */
  get recent(): readonly Decision[] {
    return this.#recent;
  }

  /** Durable when it resolves. */
  record(decision: Decision): Promise<void> {
    return this.#append(decision, () => {
      this.#recent = [...this.#recent, decision].slice(-RECENT);
    });
  }

  /** Durable when it resolves. */
  note(note: DecisionNote): Promise<void> {
    return this.#append(note, () => undefined);
  }

  #append(entry: Decision | DecisionNote, then: () => void): Promise<void> {
    const turn = this.#turn.then(async () => {
      const line = encodeDecision(entry, this.#head.count, this.#head.digest);
      await this.#lines.append(line);
      this.#head = { count: this.#head.count + 1, digest: digestOf(line) };
      then();
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
