import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { encodeJoinToken, parseFederatedJob, type FederatedJob, type LedgerEntry } from '@tributary/proto';

import { Daemon } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { auditLedger } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { eventually } from '../support/waiting.js';
import { median, rounded, type BenchCase } from './bench-case.js';
import { TWO_ROWS } from './wide-job.js';

const AGENTS_SCRIPT = join(import.meta.dirname, 'endurance-agents-main.js');
/** Agents of one process. */
const TOGETHER = 13;
/** Rounds that the floor is measured over. */
const FLOOR_ROUNDS = 20;
/** Growth of a coordinator's memory from the second quarter to the last that no run of so many rounds may exceed. */
const MARK = { growth: 0.05, rounds: 200 };
/** A file system in memory, where a sync costs nothing. */
const MEMORY = '/dev/shm';
const SAMPLE_MS = 200;

export interface EnduranceOptions {
  readonly agents: number;
  readonly rounds: number;
  /** Part of the sites that drops out of each round. */
  readonly dropout: number;
  readonly note: (line: string) => void;
}

/** What the coordinator's process held at a time. */
export interface ProcessSample {
  readonly atMs: number;
  readonly rssMiB: number;
  readonly handles: number;
}

export interface Endured {
  readonly entries: readonly LedgerEntry[];
  readonly samples: readonly ProcessSample[];
  /** Milliseconds between the commits of two rounds. */
  readonly roundMs: readonly number[];
  readonly committedAtMs: readonly number[];
  readonly accepted: number;
}

/**
 * Many rounds of a coordinator as it ships with agents as they ship, but for their trainer, over gRPC and mutual TLS. The
 * floor is the same exchange where every file lies in memory: what durability costs is the difference. Rejects where the
 * coordinator grew; a short run shows that of caches that fill, and is not judged.
 */
export const endurance: BenchCase = async function* ({ agents, rounds, dropout, note }) {
  const endured = await endure(tmpdir(), { agents, rounds, dropout, note });
  const floor = await endure(MEMORY, { agents, rounds: Math.min(rounds, FLOOR_ROUNDS), dropout, note });
  const ms = median(endured.roundMs);
  const floorMs = median(floor.roundMs);
  const rss = (quarter: number): number => median(ofQuarter(endured, quarter).map(({ rssMiB }) => rssMiB));
  const handles = (quarter: number): number => median(ofQuarter(endured, quarter).map((one) => one.handles));
  const growth = rounded(rss(3) / rss(1) - 1);
  yield {
    ...{ ms: rounded(ms), floorMs: rounded(floorMs), ratio: rounded(ms / floorMs) },
    ...{ agents, rounds, dropout, accepted: endured.accepted, entries: endured.entries.length },
    roundsPerMinute: rounded(60_000 / mean(endured.roundMs)),
    rssSecondQuarter: rounded(rss(1)),
    rssLastQuarter: rounded(rss(3)),
    growth,
    handles: { second: handles(1), last: handles(3) },
  };
  if (rounds >= MARK.rounds && !(growth <= MARK.growth))
    throw new Error(`the coordinator grew by ${String(growth)}, above ${String(MARK.growth)}`);
};

/** Runs the rounds under `parent`, audits the ledger, and gives what was seen. Rejects where a round was lost. */
export async function endure(parent: string, options: EnduranceOptions): Promise<Endured> {
  const { agents, rounds, note } = options;
  const folder = await mkdtemp(join(parent, 'tributary-endurance-'));
  const federation = await LocalFederation.start(folder, 'endurance');
  const processes: Daemon[] = [];
  try {
    processes.push(...(await startAgents(federation, options)));
    const operator = await Operator.of(federation);
    note(`${String(agents)} agents in ${String(processes.length)} processes`);
    await federation.apply(enduranceJob(options));
    const samples: ProcessSample[] = [];
    const { pid } = federation.coordinator;
    await eventually(
      'the job to end',
      async () => {
        samples.push(await sampleOf(pid));
        for (const process of processes)
          if (!process.running) throw new Error(`agents ended: ${(await process.log()).slice(-2_000)}`);
        if (samples.length % 25 !== 0) return undefined;
        const { status } = (await federation.object('fj/endurance')) as {
          readonly status: { readonly phase: string };
        };
        note(`${status.phase}: ${JSON.stringify(samples.at(-1))}`);
        return ['Complete', 'Failed'].includes(status.phase) ? status : undefined;
      },
      60_000 + rounds * 10_000,
      SAMPLE_MS,
    );
    operator.close();
    return judged((await auditLedger(federation)).entries, samples, options);
  } finally {
    await Promise.all(processes.map((process) => process.stop('SIGKILL')));
    await federation.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every round was committed once, by enough sites, and no update counted twice. */
function judged(
  entries: readonly LedgerEntry[],
  samples: readonly ProcessSample[],
  { agents, rounds, dropout }: EnduranceOptions,
): Endured {
  const committed = entries.filter((entry) => entry.type === 'round.committed');
  const numbers = committed.map(({ body }) => body.round);
  if (numbers.join() !== Array.from({ length: rounds }, (_, index) => index + 1).join())
    throw new Error(`rounds ${numbers.join()} were committed`);
  const accepted = new Set(
    entries.filter((entry) => entry.type === 'update.accepted').map(({ body }) => body.uploadId),
  );
  const folded = committed.flatMap(({ body }) => body.folded);
  if (new Set(folded).size !== folded.length) throw new Error('an update was counted twice');
  if (!folded.every((uploadId) => accepted.has(uploadId))) throw new Error('an update was never accepted');
  const fewest = agents - 2 * Math.round(agents * dropout);
  if (committed.some(({ body }) => body.folded.length < fewest)) throw new Error('a round lost its updates');
  const committedAtMs = committed.map(({ time }) => Date.parse(time));
  const roundMs = committedAtMs.slice(1).map((at, index) => at - (committedAtMs[index] ?? at));
  return { entries, samples, roundMs, committedAtMs, accepted: accepted.size };
}

/** Samples taken while that quarter of the rounds ran, counted from 0. */
export function ofQuarter({ samples, committedAtMs }: Endured, quarter: number): readonly ProcessSample[] {
  const at = (part: number): number =>
    committedAtMs[Math.min(committedAtMs.length - 1, Math.floor((committedAtMs.length * part) / 4))] ?? 0;
  return samples.filter(({ atMs }) => atMs >= at(quarter) && atMs <= at(quarter + 1));
}

async function startAgents(federation: LocalFederation, options: EnduranceOptions): Promise<Daemon[]> {
  const { agents, dropout } = options;
  const operator = await Operator.of(federation);
  const author = await federation.authorKey();
  const folders: string[] = [];
  for (let index = 0; index < agents; index += 1) {
    const name = `site-${String(index)}`;
    const folder = await federation.writeSite({ name, csv: TWO_ROWS, dataset: 'rows' }, author);
    const token = encodeJoinToken(await operator.invite(name));
    await writeFile(join(folder, 'token'), token, { mode: 0o600 });
    folders.push(folder);
  }
  operator.close();
  const processes: Daemon[] = [];
  for (let start = 0; start < agents; start += TOGETHER) {
    const part = folders.slice(start, start + TOGETHER);
    processes.push(
      new Daemon({
        script: AGENTS_SCRIPT,
        args: [String(agents), String(dropout), ...part],
        logFile: join(federation.folder, `agents-${String(start)}.log`),
      }),
    );
  }
  return processes;
}

/** A model of two parameters. A round closes as soon as those are in that do not drop out, and needs not even all of them. */
function enduranceJob({ agents, rounds, dropout }: EnduranceOptions): FederatedJob {
  const dropping = Math.round(agents * dropout);
  return parseFederatedJob({
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name: 'endurance' },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'rows', label: 'label' },
      features: [{ name: 'x', type: 'Numeric', center: 0, scale: 1 }],
      model: { name: 'endurance', layers: [{ type: 'Dense', units: 1, activation: 'Sigmoid' }] },
      training: { epochs: 1, batchSize: 32, optimizer: { type: 'Sgd', learningRate: 0.1 } },
      rounds,
      minSites: Math.max(1, agents - 2 * dropping),
      cohortSize: agents - dropping,
      overSelection: dropping / (agents - dropping),
      evaluation: { metrics: [] },
      update: { clipNorm: 10, weightCap: 1 },
      privacy: { secureAggregation: false },
    },
  });
}

async function sampleOf(pid: number): Promise<ProcessSample> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  const rssMiB = Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) / 1_024;
  return { atMs: Date.now(), rssMiB, handles: (await readdir(`/proc/${String(pid)}/fd`)).length };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
