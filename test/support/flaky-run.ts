import { join } from 'node:path';

import { LIMITS } from '@tributary/proto';

import { TWO_ROWS, parametersOf, wideJob } from '../bench/wide-job.js';
import { LocalFederation } from './federation.js';
import { FlakyProxy } from './flaky-proxy.js';
import { auditLedger, entriesOf } from './ledger-audit.js';
import { Operator } from './operator.js';
import { eventually } from './waiting.js';

const AGENT_SCRIPT = join(import.meta.dirname, '../bench/agent-main.js');

/** Bytes that one break may cost in a direction: a chunk that is not whole, and as much in the buffers of sockets. */
const LOST_PER_BREAK = 2 * LIMITS.chunkBytes;
/** TLS records, frames and messages around payloads: one part in 50, and what control messages take. */
const OVERHEAD = 1.02;
const CONTROL_BYTES = 2 * 1024 * 1024;

export interface FlakyRunOptions {
  readonly folder: string;
  readonly megabytes: number;
  readonly breakMs: number;
  /** Breaks that each transfer meets at least, by the rate of the line. */
  readonly breaks: number;
  /** Kills the agent once during its download and the coordinator and the agent once during the upload. */
  readonly kills: boolean;
}

export interface FlakyRun {
  readonly modelBytes: number;
  readonly breaks: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** The most that may pass in a direction. */
  readonly boundBytes: number;
  readonly seconds: number;
}

/** One round over a line that passes `breakBytes` of a site between two breaks. */
export async function thinRun(folder: string, megabytes: number, breakBytes: number): Promise<number> {
  const proxy = await FlakyProxy.start({ breakBytes });
  const federation = await LocalFederation.start(join(folder, 'federation'), 'thin');
  const operator = await Operator.of(federation);
  try {
    const site = { name: 'site-0', csv: TWO_ROWS, dataset: 'rows', script: AGENT_SCRIPT };
    await federation.addSite({ ...site, config: { proxy: { url: proxy.url } } });
    await operator.apply(wideJob('wide', megabytes, 1, 1));
    await operator.event('wide', 'job.completed', () => true, 200_000);
    const { entries } = await auditLedger(federation);
    if (entriesOf(entries, 'update.accepted').length !== 1) throw new Error('one update is accepted');
    return proxy.breaks;
  } finally {
    operator.close();
    await federation.stop();
    await proxy.stop();
  }
}

/** One round of a large model over a line that breaks; rejects where it does not complete. */
export async function flakyRun(options: FlakyRunOptions): Promise<FlakyRun> {
  const { folder, megabytes, breakMs, breaks, kills } = options;
  const job = wideJob('wide', megabytes, 1, 1);
  const modelBytes = parametersOf(job) * 4;
  const bytesPerSecond = modelBytes / ((breakMs * (breaks + 0.5)) / 1_000);
  const proxy = await FlakyProxy.start({ bytesPerSecond, breakMs });
  const federation = await LocalFederation.start(join(folder, 'federation'), 'flaky');
  const operator = await Operator.of(federation);
  try {
    const site = { name: 'site-0', csv: TWO_ROWS, dataset: 'rows', script: AGENT_SCRIPT };
    await federation.addSite({ ...site, config: { proxy: { url: proxy.url } } });
    const started = performance.now();
    await operator.apply(job);
    const agentAnew = async (): Promise<void> => {
      await federation.agents.get('site-0')?.stop('SIGKILL');
      federation.startAgent('site-0');
    };
    if (kills) {
      await passed(() => proxy.bytes.received > modelBytes / 2);
      await agentAnew();
    }
    await passed(() => proxy.bytes.sent > modelBytes / 2);
    if (kills) {
      await federation.coordinator.stop('SIGKILL');
      await federation.serve();
      await passed(() => proxy.bytes.sent > (modelBytes * 3) / 4);
      await agentAnew();
    }
    const again = kills ? await Operator.of(federation) : operator;
    await again.event('wide', 'job.completed', () => true, 300_000);
    const seconds = (performance.now() - started) / 1_000;
    again.close();
    const { entries } = await auditLedger(federation);
    if (entriesOf(entries, 'update.accepted').length !== 1) throw new Error('one update is accepted');
    const lost = (proxy.breaks + (kills ? 3 : 0)) * LOST_PER_BREAK;
    return {
      modelBytes,
      breaks: proxy.breaks,
      sentBytes: proxy.bytes.sent,
      receivedBytes: proxy.bytes.received,
      boundBytes: Math.round(modelBytes * OVERHEAD) + CONTROL_BYTES + lost,
      seconds,
    };
  } finally {
    operator.close();
    await federation.stop();
    await proxy.stop();
  }
}

const passed = (happened: () => boolean): Promise<true> =>
  eventually('bytes to pass', () => happened() || undefined, 300_000);
