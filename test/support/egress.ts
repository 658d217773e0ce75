import { EgressCounter, type EgressParts } from '@tributary/edge-agent/internal/app/egress-counter.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import type { MeterFile } from '@tributary/edge-agent/internal/egress-ports.js';
import type { StateStore } from '@tributary/edge-agent/internal/ports.js';

/** A meter file that forgets when the machine goes down, and sockets that write what a test says. */
export class MeteredWire {
  kept: Uint8Array | undefined;
  bytes = 0n;
  now = Date.parse('2026-01-01T00:00:00.000Z');
  readonly store: StateStore;

  constructor(store: StateStore = new MemoryStateStore()) {
    this.store = store;
  }

  /** A process begins: its sockets have written nothing yet. */
  open(): Promise<EgressCounter> {
    this.bytes = 0n;
    return EgressCounter.open(this.parts());
  }

  parts(): EgressParts {
    const meter: MeterFile = {
      read: () => this.kept,
      write: (bytes) => {
        this.kept = bytes;
      },
    };
    const clock = { now: () => this.now, at: () => () => undefined };
    return {
      store: this.store,
      meter,
      sockets: { written: () => this.bytes, turns: () => () => undefined },
      clock,
    };
  }
}
