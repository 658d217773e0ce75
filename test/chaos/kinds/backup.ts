import { copyFile, cp, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ERROR_TABLE } from '@tributary/proto';

import { BINARIES, Daemon, runCommand } from '../../support/daemon.js';
import { requireSuccess } from '../../support/federation.js';
import { entriesOf } from '../../support/ledger-audit.js';
import { withoutSockets } from '../../support/system-tools.js';
import { eventually } from '../../support/waiting.js';
import type { Evidence } from '../judge/evidence.js';
import { SITES } from '../template.js';
import type { ProcessName, World } from '../world.js';
import type { FaultKind } from './kind.js';

const AGENT: ProcessName = 'north';
const FENCED_MS = 60_000;
/** Milliseconds in which what must not happen would have happened. */
const LOOK_MS = 4_000;

const FENCED = new RegExp(`^${AGENT} ended by itself: ${String(ERROR_TABLE.AGENT_FENCED.exit)}$`);

const COPY = { recursive: true, filter: withoutSockets } as const;

const committed =
  (round: number) =>
  (body: object): boolean =>
    'round' in body && body.round === round;

/** The coordinator comes back as it was some rounds ago: agents that have seen more do not follow it. */
async function oldCoordinator(world: World): Promise<Evidence> {
  const { federation, folder } = world;
  const [backup, newer, key] = [join(folder, 'backup.tar'), join(folder, 'newer'), join(folder, 'seal.key')];
  await world.event('round.committed', committed(1));
  await federation.backup(backup);
  // Every site has seen more than the backup holds once it has taken part in a later round.
  const { entries: held } = await world.audit();
  const last = Math.max(...entriesOf(held, 'round.opened').map(({ body }) => body.round));
  if ((await world.event('round.committed', committed(last + 1))) === undefined)
    throw new Error('the job ended before the backup was old');
  await world.kill('coordinator');
  await copyFile(join(federation.data, 'seal.key'), key);
  await rename(federation.data, newer);
  const words = ['restore', '--data', federation.data, '--from', backup, '--seal-key-file', key];
  requireSuccess('restore', await runCommand(BINARIES.coordinator, words));
  await copyFile(key, join(federation.data, 'seal.key'));
  for (const site of SITES)
    world.explained.push(new RegExp(`^${site} ended by itself: ${String(ERROR_TABLE.PROOF_INVALID.exit)}$`));
  await world.start('coordinator');
  await world.serving();
  const before = await world.audit();
  const raised = async () => entriesOf((await world.audit(before)).entries, 'alarm.raised')[0];
  const alarm = await eventually('an alarm', raised, FENCED_MS).catch(() => undefined);
  await sleep(LOOK_MS);
  const { entries } = await world.audit(before);
  const taken = entriesOf(entries, 'update.accepted').filter(({ seq }) => seq >= before.entries.length);
  if (taken.length > 0)
    world.findings.push('an older ledger takes updates of agents that have seen a newer one');
  await world.kill('coordinator');
  await rename(federation.data, join(folder, 'older'));
  await rename(newer, federation.data);
  await world.restart('coordinator');
  await world.serving();
  for (const site of SITES) {
    if (!world.last(site).daemon.running) await world.restart(site);
    await settle(world, site);
  }
  return { what: 'alarms over an older ledger', count: alarm === undefined ? 0 : 1 };
}

/** A site that was shown the older ledger halts until its people say that the newer one counts. */
async function settle({ federation, findings }: World, site: string): Promise<void> {
  const config = join(federation.siteFolder(site), 'agent.yaml');
  const { code, stderr } = await runCommand(BINARIES.agent, ['log', 'resolve', '--keep', '--config', config]);
  // One that was not connected meanwhile has nothing to settle.
  if (code !== 0 && code !== ERROR_TABLE.CONFLICT.exit) findings.push(`${site} settles nothing: ${stderr}`);
}

/** An agent comes back as it was some rounds ago: it has signed more of the ledger since, is fenced, and its newest state goes on. */
async function oldAgent(world: World): Promise<Evidence> {
  const data = join(world.federation.siteFolder(AGENT), 'data');
  await world.event('round.committed', committed(1));
  await world.kill(AGENT);
  await cp(data, `${data}.old`, COPY);
  await world.restart(AGENT);
  await world.event('round.committed', committed(2));
  // At its start it signs what it knows by now, which the old state does not; else it does so at a heartbeat.
  await world.kill(AGENT);
  await world.restart(AGENT);
  await world.event('round.committed', committed(3));
  await world.kill(AGENT);
  await rename(data, `${data}.newer`);
  await cp(`${data}.old`, data, COPY);
  world.explained.push(FENCED);
  const old = await world.start(AGENT);
  const exit = await Promise.race([old.exited, sleep(FENCED_MS, undefined, { ref: false })]);
  const fenced = exit?.code === ERROR_TABLE.AGENT_FENCED.exit && /AGENT_FENCED/.test(await old.log());
  if (exit === undefined) await world.kill(AGENT);
  await rename(data, `${data}.fenced`);
  await rename(`${data}.newer`, data);
  await world.restart(AGENT);
  return { what: 'agents fenced that were restored from an old copy', count: fenced ? 1 : 0 };
}

/** Two processes with the state of one agent: one works, the other one ends. */
async function twin(world: World): Promise<Evidence> {
  const folder = world.federation.siteFolder(AGENT);
  const copy = join(world.folder, 'twin');
  await world.event('round.committed', committed(1));
  await world.kill(AGENT);
  await mkdir(copy);
  await cp(folder, copy, COPY);
  const first = await world.restart(AGENT);
  world.explained.push(FENCED);
  const second = new Daemon({
    script: BINARIES.agent,
    args: ['run', '--config', join(copy, 'agent.yaml')],
    logFile: join(world.folder, 'twin.log'),
    env: world.environmentOf(AGENT),
  });
  world.started.push({ name: AGENT, daemon: second, expected: false, execMs: Date.now(), again: false });
  const ended = await Promise.race([
    first.exited,
    second.exited,
    sleep(FENCED_MS, undefined, { ref: false }),
  ]);
  const fenced = ended?.code === ERROR_TABLE.AGENT_FENCED.exit;
  await sleep(LOOK_MS);
  // The newer process, unless the other one has signed more of the ledger before it came.
  if (first.running === second.running)
    world.findings.push(`of two processes of one agent ${first.running ? 'both work' : 'none works'}`);
  return { what: 'of two processes of one agent fenced', count: fenced ? 1 : 0 };
}

const FAULTS: Readonly<Record<string, (world: World) => Promise<Evidence>>> = {
  coordinator: oldCoordinator,
  agent: oldAgent,
  twin,
};

/** Old copies come back. */
export const backup: FaultKind = {
  name: 'backup',
  about: 'a coordinator or an agent restored from an old copy, and an agent twice',
  variants: () => Object.keys(FAULTS),
  run: async ({ variant, open }) => {
    const world = await open({ rounds: variant === 'coordinator' ? 10 : 5, epochs: 20 });
    await world.begin();
    const evidence = await FAULTS[variant]?.(world);
    await world.ended();
    return evidence === undefined ? [] : [evidence];
  },
};
