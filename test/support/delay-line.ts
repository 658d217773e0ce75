import { Transform, type TransformCallback } from 'node:stream';

/** Passes bytes on after `delayMs`, in order and without a limit on how many are under way: a long, fast link. */
export class DelayLine extends Transform {
  readonly #delayMs: number;
  readonly #waiting: { readonly dueMs: number; readonly chunk: Buffer }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #flushed: (() => void) | undefined;

  constructor(delayMs: number) {
    super({ highWaterMark: 64 << 20, readableHighWaterMark: 64 << 20 });
    this.#delayMs = delayMs;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#waiting.push({ dueMs: performance.now() + this.#delayMs, chunk });
    this.#timer ??= setTimeout(() => this.#deliver(), this.#delayMs);
    done();
  }

  override _flush(done: TransformCallback): void {
    if (this.#waiting.length === 0) done();
    else this.#flushed = done;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }

  #deliver(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      const wait = next.dueMs - performance.now();
      if (wait > 0.5) {
        this.#timer = setTimeout(() => this.#deliver(), wait);
        return;
      }
      this.#waiting.shift();
      this.push(next.chunk);
    }
    this.#timer = undefined;
    this.#flushed?.();
  }
}
