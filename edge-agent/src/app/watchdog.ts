import { LIMITS } from '@tributary/proto';

import type { AgentMessage, Clock, FleetStream } from '../ports.js';

/** Sends heartbeats, and closes a stream on which the coordinator has been silent for too long. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #stream: FleetStream;
  readonly #heartbeat: () => AgentMessage;
  #lastSeenMs: number;
  #cancel: () => void;
  expired = false;

  constructor(clock: Clock, stream: FleetStream, heartbeat: () => AgentMessage) {
    this.#clock = clock;
    this.#stream = stream;
    this.#heartbeat = heartbeat;
    this.#lastSeenMs = clock.now();
    this.#cancel = clock.at(this.#lastSeenMs + LIMITS.heartbeatTimeoutMs, () => this.#expire());
  }

  seen(): void {
    this.#lastSeenMs = this.#clock.now();
  }

  beat(intervalMs: number): void {
    this.stop();
    const next = this.#clock.now() + intervalMs;
    this.#cancel = this.#clock.at(Math.min(next, this.#lastSeenMs + LIMITS.heartbeatTimeoutMs), () => {
      if (this.#clock.now() - this.#lastSeenMs >= LIMITS.heartbeatTimeoutMs) {
        this.#expire();
        return;
      }
      this.#stream.send(this.#heartbeat());
      this.beat(intervalMs);
    });
  }

  stop(): void {
    this.#cancel();
  }

  #expire(): void {
    this.expired = true;
    this.#stream.close();
  }
}
