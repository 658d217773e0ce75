import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Mosquitto, mosquittoInstalled } from '../support/mosquitto.js';
import type { BenchOptions } from './bench-case.js';
import {
  briefThroughput,
  latency,
  memory,
  restarts,
  swaps,
  throughput,
  training,
  type StreamCase,
  type StreamResult,
  type StreamSetting,
} from './stream-cases.js';
import { ecg } from './stream-ecg.js';

export const STREAM_CASES: Readonly<Record<string, StreamCase>> = {
  throughput,
  latency,
  ecg,
  swaps,
  restarts,
  training,
  memory,
};

/** Pipelines of an agent at a Mosquitto that drops nothing; each case with a broker of its own. */
export async function* stream({ streamCase, note }: BenchOptions): AsyncGenerator<StreamResult> {
  if (!mosquittoInstalled())
    throw new Error('the stream benchmark needs Mosquitto 2 in /usr/sbin; install the package mosquitto');
  const chosen = Object.entries(STREAM_CASES).filter(([name]) => (streamCase ?? name) === name);
  if (chosen.length === 0)
    throw new RangeError(`--case: one of ${Object.keys(STREAM_CASES).join(', ')}, or none for all`);
  let known: number | undefined;
  for (const [name, run] of chosen) {
    note(`${name} ...`);
    const result = await withBroker((broker) => {
      const setting: Omit<StreamSetting, 'throughput'> = { broker, protocol: 'V5', note };
      return run({ ...setting, throughput: async () => (known ??= await briefThroughput(setting)) });
    });
    if (name === 'throughput') known = result.messagesPerSecond;
    yield result;
  }
}

async function withBroker<T>(use: (broker: Mosquitto) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-broker-'));
  const broker = await Mosquitto.start(folder);
  try {
    return await use(broker);
  } finally {
    await broker.leave();
    await rm(folder, { recursive: true, force: true });
  }
}
