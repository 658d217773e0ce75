import {
  addMessage,
  addTransport,
  addUpdate,
  beginJob,
  sumOf,
  type Egress,
  type EgressKind,
  type EgressState,
  type JobEgress,
} from '../domain/egress.js';
import type { EgressMeter, MeterFile, SocketBytes } from '../egress-ports.js';
import type { Clock, StateStore } from '../ports.js';
import { egressChange, encodeEgress, readEgress, type EgressRecord } from './egress-record.js';

/** Milliseconds between two looks that write down what they see: while sockets write, and while they do not. */
const BUSY_MS = 5;
const IDLE_MS = 20;
/** Bytes that are written down at once when they have left, and so the most that is not but for one turn. */
const SAVED_BYTES = 32_768n;

export interface EgressParts {
  readonly store: StateStore;
  /** Survives the death of the process, though not that of the machine. */
  readonly meter: MeterFile;
  readonly sockets: SocketBytes;
  readonly clock: Clock;
}

/**
 * Counts the bytes that leave, on the wire and by kind, in all and for each job. Payloads are counted before they leave;
 * what the sockets have written beyond them is transport. After the death of the process the count goes on from the last
 * look at the sockets, and the little that may have left since: sockets are looked at after every turn of the event loop, so
 * that only what was written in the very turn of the death can be missing. What the system had taken over counts as sent,
 * whether or not it still arrived. After the death of the machine every reserved byte counts as sent.
 */
export class EgressCounter implements EgressMeter {
  readonly #parts: EgressParts;
  #state: EgressState;
  /** Of everything counted before this process. */
  readonly #before: bigint;
  #reserved = 0n;
  #seen = 0n;
  #cancel: (() => void) | undefined;

  private constructor(parts: EgressParts, state: EgressState) {
    this.#parts = parts;
    this.#state = state;
    this.#before = sumOf(state.total);
  }

  static async open(parts: EgressParts): Promise<EgressCounter> {
    const { state, isForeign } = await readEgress(parts.store, parts.meter, SAVED_BYTES);
    const counter = new EgressCounter(parts, state);
    if (!isForeign) return counter;
    // The other way about a death between the two would count it never; so it counts twice.
    counter.#write();
    await counter.flush();
    return counter;
  }

  /** As the sockets have it now. */
  get egress(): Egress {
    this.#look();
    return this.#state.total;
  }

  jobs(): ReadonlyMap<string, JobEgress> {
    this.#look();
    return this.#state.jobs;
  }

  count(kind: EgressKind, bytes: number, jobId?: string): void {
    this.#state = addMessage(this.#state, kind, bytes, this.#parts.clock.now(), jobId);
    this.#write();
  }

  begin(jobId: string): void {
    this.#state = beginJob(this.#state, jobId, this.#parts.clock.now());
  }

  /** What left for the job; undefined for one that was never begun. It is counted no more. */
  end(jobId: string): JobEgress | undefined {
    this.#look();
    const job = this.#state.jobs.get(jobId);
    const jobs = new Map(this.#state.jobs);
    jobs.delete(jobId);
    this.#state = { ...this.#state, jobs };
    return job;
  }

  /** Durable when it resolves: `bytes` more may leave, of an update of the job. */
  async reserve(bytes: number, jobId: string): Promise<void> {
    this.#reserved += BigInt(bytes);
    this.#state = addUpdate(this.#state, jobId);
    await this.flush();
  }

  /** What was reserved has left and was counted, or will not leave. Durable with the next write. */
  release(bytes: number): void {
    this.#reserved -= BigInt(bytes);
  }

  /** Looks at the sockets after every turn that may have written to them, until the result is called. */
  watch(): () => void {
    const { clock, sockets } = this.#parts;
    let busy = false;
    const arm = (): void => {
      this.#cancel = clock.at(clock.now() + (busy ? BUSY_MS : IDLE_MS), () => {
        const before = this.#seen;
        this.#look();
        busy = this.#seen !== before;
        arm();
      });
    };
    arm();
    const rest = sockets.turns(() => {
      if (sockets.written() - this.#seen >= SAVED_BYTES) this.#look();
    });
    return () => {
      this.#cancel?.();
      rest();
    };
  }

  /** Durable when it resolves, whatever becomes of the machine. */
  async flush(): Promise<void> {
    this.#look();
    await this.#parts.store.put(egressChange(this.#record()));
  }

  /** The last word of this process, once its sockets are closed. Durable when it resolves. */
  async close(): Promise<void> {
    await this.flush();
    this.#parts.meter.write(encodeEgress(this.#record(true)));
  }

  /** What the sockets have written beyond the messages is transport. */
  #look(): void {
    const written = this.#parts.sockets.written();
    if (written === this.#seen) return;
    this.#seen = written;
    const beyond = this.#before + written - sumOf(this.#state.total);
    // A message that was counted and is not written yet is not missing: it leaves later.
    if (beyond > 0n) this.#state = addTransport(this.#state, beyond, this.#parts.clock.now());
    this.#write();
  }

  #write(): void {
    this.#parts.meter.write(encodeEgress(this.#record()));
  }

  #record(closed = false): EgressRecord {
    const wire = this.#before + this.#seen;
    return { state: this.#state, reserved: this.#reserved, wire, closed };
  }
}
