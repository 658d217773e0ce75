import { cp, mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { credentials, type Interceptor } from '@grpc/grpc-js';
import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import { pem } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';
import type { EgressCounter } from '@tributary/edge-agent/internal/app/egress-counter.js';
import type { ChannelIdentity, Dialer, FleetClient } from '@tributary/edge-agent/internal/ports.js';
import { encodeBase64, TributaryError, WIRE_VERSIONS, type FederatedJobInput } from '@tributary/proto';
import { Fleet, Ledger } from '@tributary/proto/grpc';

import { localOptions } from './channels.js';
import { repositoryRoot } from './daemon.js';
import { LocalFederation } from './federation.js';
import { withFixedDealing } from './fixed-dealing.js';
import { jobDocument } from './job-document.js';
import { Operator } from './operator.js';
import { SessionRecorder, writeSession } from './recorded-session.js';
import { ScriptedSite } from './scripted-site.js';
import { temporaryDirectory } from './temporary-directory.js';
import { eventually } from './waiting.js';

/*
 * Writes test/data/sessions/<wire version>: a session that an agent of this build has with a coordinator of this build,
 * for later builds to play from either side. Run it once, before the wire version is raised:
 *   node test/dist/support/write-session.js
 *   node test/dist/support/write-session.js secure    <wire version>-secure: three agents, all stages of a secure round
 *
 *   coordinator/    as it is when the session begins: a round is open, the sites are in its cohort
 *   agent/          of the first site
 *   session.ndjson  every message from the hello to the settlement of the job
 */

/** Logs, locks, sockets and addresses are of the process, not of the data. */
const OF_THE_PROCESS = new Set(['LOCK', 'LOG', 'LOG.old', 'run']);

/** Dials with what `channel` makes of the stubs. */
function dialerOf(
  interceptor: Interceptor | undefined,
  egress: EgressCounter,
  channel: typeof FleetChannel,
): Dialer {
  const refuse = (): Promise<never> => Promise.reject(new Error('the session needs no enrolment'));
  const fleet = (address: string, { authority, client }: ChannelIdentity): Promise<FleetClient> => {
    const key = Buffer.from(pem('PRIVATE KEY', client?.privateKey ?? new Uint8Array()));
    const certificate = Buffer.from(pem('CERTIFICATE', client?.certificate ?? new Uint8Array()));
    const tls = credentials.createSsl(Buffer.from(pem('CERTIFICATE', authority)), key, certificate);
    const options = { ...localOptions(), interceptors: interceptor === undefined ? [] : [interceptor] };
    return Promise.resolve(
      new channel(new Fleet(address, tls, options), new Ledger(address, tls, options), egress),
    );
  };
  return {
    hasBundle: false,
    presentedChain: refuse,
    enrolment: refuse,
    fleet,
    diagnose: () => Promise.resolve(undefined),
  };
}

/** Of an agent whose word does not arrive: what it has to say is stored when it is `said`. */
function muteChannel(said: () => void): typeof FleetChannel {
  return class extends FleetChannel {
    override submitStage(): Promise<void> {
      said();
      return Promise.reject(new TributaryError('UNAVAILABLE', 'the link is down'));
    }
  };
}

interface Plot {
  readonly names: readonly string[];
  readonly spec: Partial<FederatedJobInput['spec']>;
}

const PLOTS: Readonly<Record<'plain' | 'secure', Plot>> = {
  plain: { names: ['north'], spec: {} },
  secure: { names: ['north', 'south', 'west'], spec: { privacy: {} } },
};

async function recordSession(target: string, { names, spec }: Plot): Promise<void> {
  const directory = await temporaryDirectory();
  const federation = await LocalFederation.start(join(directory.path, 'federation'), 'session');
  const operator = await Operator.of(federation);
  const authorKey = encodeBase64(operator.author.publicKey);
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const mute = new Set<string>();
  const members: { readonly site: ScriptedSite; readonly agentId: string }[] = [];
  for (const name of names) {
    const folder = join(directory.path, name);
    await mkdir(folder);
    const site = new ScriptedSite(folder, { log: { authorKey } });
    const { agentId } = await site.join(await operator.invite(name));
    site.trainer.gate = gate;
    site.dialer = (egress) =>
      dialerOf(
        undefined,
        egress,
        muteChannel(() => mute.add(name)),
      );
    members.push({ site, agentId });
  }
  const sites = members.map(({ site }) => site);
  const [first = { site: sites[0], agentId: '' }] = members;

  const before = await Promise.all(sites.map((site) => site.run()));
  await eventually(
    'the sites to connect',
    () => before.every(({ agent }) => agent.status().connection === 'Connected') || undefined,
  );
  const document = jobDocument();
  const base = { rounds: 1, minSites: names.length, evaluation: { metrics: [] } };
  await operator.apply({ ...document, spec: { ...document.spec, ...base, ...spec } });
  const training = (times: number): boolean => sites.every(({ trainer }) => trainer.trainings >= times);
  // The session begins where every site trains and, in a secure round, has drawn its secrets.
  const begun = (): boolean => training(1) && (spec.privacy === undefined || mute.size === names.length);
  await eventually('the round to begin', () => begun() || undefined);
  await federation.coordinator.stop('SIGKILL');
  for (const running of before) await running.stop();
  await rm(target, { recursive: true, force: true });
  const options = { recursive: true, filter: (path: string) => !OF_THE_PROCESS.has(basename(path)) };
  await cp(federation.data, join(target, 'coordinator'), options);
  await cp(first.site?.dataDir ?? '', join(target, 'agent'), options);

  await federation.serve();
  const recorder = new SessionRecorder();
  for (const { site, agentId } of members) {
    const interceptor = recorder.interceptor(agentId === first.agentId ? undefined : agentId);
    site.dialer = (egress) => dialerOf(interceptor, egress, FleetChannel);
  }
  const counted = (kind: string, whose?: string): number =>
    recorder.messages.filter(
      ({ kind: of, agent = first.agentId }) => of === kind && agent === (whose ?? agent),
    ).length;
  const atMs = Date.now();
  const running = [];
  // One after the other, so that they meet the same ledger when they are played; but soon, or the round is given up.
  for (const { site, agentId } of members) {
    running.push(await site.run());
    await eventually('the site to connect', () => counted('order', agentId) > 0 || undefined, 20_000, 5);
  }
  await eventually('training', () => training(2) || undefined);
  open();
  await operator.event('loans', 'job.completed');
  await eventually('the settlement to be acknowledged', () => {
    const whole = counted('order') >= 2 * sites.length && counted('ack') === counted('order');
    return (whole && counted('heartbeatAck') >= sites.length) || undefined;
  });
  const head = {
    formatVersion: 1,
    wire: WIRE_VERSIONS[0] ?? '',
    atMs,
    agentId: first.agentId,
    authorKey,
  } as const;
  await writeSession(join(target, 'session.ndjson'), { head, messages: recorder.messages });
  for (const one of running) await one.stop();
  operator.close();
  await federation.stop();
  await directory.remove();
}

if (process.argv[1] === import.meta.filename) {
  const secure = process.argv[2] === 'secure';
  const name = `${WIRE_VERSIONS[0] ?? ''}${secure ? '-secure' : ''}`;
  const target = join(repositoryRoot, 'test/data/sessions', name);
  await withFixedDealing(() => recordSession(target, PLOTS[secure ? 'secure' : 'plain']));
  process.stdout.write(`written: ${target}\n`);
}
