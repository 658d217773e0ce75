import { minutesOf, type Beat } from './beat-summary.js';
import type { Alarm } from './tachycardia.js';

/** Says what comes of the ECG of a bed while it comes: a line a minute of the record, and the alarms. */
export class BedView {
  readonly #bed: string;
  readonly #startMs: number;
  readonly #say: (line: string) => void;
  #said = 0;

  constructor(bed: string, startMs: number, say: (line: string) => void) {
    this.#bed = bed;
    this.#startMs = startMs;
    this.#say = say;
  }

  /** `complete`: no beat follows. */
  beats(beats: readonly Beat[], complete = false): void {
    const minutes = minutesOf(beats, this.#startMs);
    const whole = complete ? minutes.length : minutes.length - 1;
    for (; this.#said < whole; this.#said += 1) {
      const minute = minutes[this.#said];
      if (minute === undefined) return;
      const rate = `heart rate ${minute.heartRate.toFixed(0)}`;
      this.#line(`minute ${String(this.#said + 1)}: ${String(minute.beats)} beats, ${rate}`);
    }
  }

  alarm({ type, timeMs, value }: Alarm): void {
    const seconds = Math.round((timeMs - this.#startMs) / 1_000);
    const at = `${String(Math.floor(seconds / 60))}:${String(seconds % 60).padStart(2, '0')}`;
    this.#line(`tachycardia ${type.toLowerCase()} at ${at}, ${String(value)} beats in 15 s`);
  }

  #line(text: string): void {
    this.#say(`bed ${this.#bed}  ${text}`);
  }
}
