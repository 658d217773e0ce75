import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { FederatedJobInput } from '@tributary/proto';

import { canConnect } from '../support/local-ports.js';
import { LocalFederation, type SiteOptions } from '../support/federation.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { SeededRandom } from '../support/seeded-random.js';

export const SITES = ['east', 'north', 'west'] as const;
export type Site = (typeof SITES)[number];

const ROWS = 120;

/** Whether the updates of a job travel under masks. */
export type JobType = 'plain' | 'secure';

/** Below the ports that systems give to whoever calls: nobody may take them while a coordinator is away. */
const PORTS = { first: 20_000, end: 30_000, step: 10 } as const;

/** A free row of ports. The one after the fleet's stays free for a relay. */
async function portsOf(random: SeededRandom) {
  for (;;) {
    const first = PORTS.first + random.below((PORTS.end - PORTS.first) / PORTS.step) * PORTS.step;
    const ports = { fleet: first, enrol: first + 2, admin: first + 3, health: first + 4, metrics: first + 5 };
    const taken = await Promise.all([...Object.values(ports), first + 1].map(canConnect));
    if (!taken.includes(true)) return ports;
  }
}

/** Three sites on the backend whose bits are those of every machine. */
export function sitesOf(): readonly SiteOptions[] {
  return SITES.map((name, index) => ({
    name,
    csv: pointsOf(index + 1, ROWS).csv,
    dataset: 'points',
    config: { trainer: { type: 'Tfjs', backend: 'Cpu' } },
  }));
}

/** How long a job of a case takes, and what it trains. */
export interface JobSize {
  readonly rounds?: number;
  readonly epochs?: number;
  readonly spec?: Partial<FederatedJobInput['spec']>;
}

/** A small job of a case. */
export function chaosJob(
  name: string,
  type: JobType,
  { rounds = 3, epochs = 4, spec }: JobSize,
): FederatedJobInput {
  const { training } = { ...pointsJob(name).spec, ...spec };
  return pointsJob(name, {
    ...spec,
    rounds,
    training: { ...training, epochs },
    roundDeadlineSeconds: 60,
    privacy: { secureAggregation: type === 'secure' },
  });
}

/** A federation whose sites have joined, none of it running: made once and copied for each case. */
export class Template {
  readonly #folder: string;
  readonly host: string;

  private constructor(folder: string, host: string) {
    this.#folder = folder;
    this.host = host;
  }

  static async make(folder: string, host = '127.0.0.1'): Promise<Template> {
    const ports = await portsOf(new SeededRandom(process.pid));
    const federation = await LocalFederation.start(folder, 'chaos', host, { ports });
    for (const site of sitesOf()) {
      await federation.joinSite(site);
      await federation.cliText('approve', site.name);
    }
    await federation.stop();
    return new Template(folder, host);
  }

  /** Its state in another folder. */
  async copy(folder: string): Promise<LocalFederation> {
    await cp(this.#folder, folder, { recursive: true });
    await rm(join(folder, 'coordinator.log'), { force: true });
    return LocalFederation.open(folder, sitesOf(), this.host);
  }
}
