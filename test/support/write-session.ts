import { cp, mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { credentials } from '@grpc/grpc-js';
import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import { pem } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';
import type { EgressCounter } from '@tributary/edge-agent/internal/app/egress-counter.js';
import type { ChannelIdentity, Dialer, FleetClient } from '@tributary/edge-agent/internal/ports.js';
import { encodeBase64, WIRE_VERSIONS } from '@tributary/proto';
import { Fleet, Ledger } from '@tributary/proto/grpc';

import { localOptions } from './channels.js';
import { repositoryRoot } from './daemon.js';
import { LocalFederation } from './federation.js';
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
 *
 *   coordinator/    as it is when the session begins: a round is open, the site is in its cohort
 *   agent/          of the site
 *   session.ndjson  every message from the hello to the settlement of the job
 */

/** Logs, locks, sockets and addresses are of the process, not of the data. */
const OF_THE_PROCESS = new Set(['LOCK', 'LOG', 'LOG.old', 'run']);

function recordingDialer(recorder: SessionRecorder, egress: EgressCounter): Dialer {
  const refuse = (): Promise<never> => Promise.reject(new Error('the session needs no enrolment'));
  const fleet = (address: string, { authority, client }: ChannelIdentity): Promise<FleetClient> => {
    const key = Buffer.from(pem('PRIVATE KEY', client?.privateKey ?? new Uint8Array()));
    const certificate = Buffer.from(pem('CERTIFICATE', client?.certificate ?? new Uint8Array()));
    const tls = credentials.createSsl(Buffer.from(pem('CERTIFICATE', authority)), key, certificate);
    const options = { ...localOptions(), interceptors: [recorder.interceptor] };
    return Promise.resolve(
      new FleetChannel(new Fleet(address, tls, options), new Ledger(address, tls, options), egress),
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

async function recordSession(target: string): Promise<void> {
  const directory = await temporaryDirectory();
  const federation = await LocalFederation.start(join(directory.path, 'federation'), 'session');
  const operator = await Operator.of(federation);
  const authorKey = encodeBase64(operator.author.publicKey);
  const folder = join(directory.path, 'north');
  await mkdir(folder);
  const site = new ScriptedSite(folder, { log: { authorKey } });
  const { agentId } = await site.join(await operator.invite('north'));
  let open = (): void => undefined;
  site.trainer.gate = new Promise((resolve) => (open = resolve));

  const before = await site.run();
  const document = jobDocument();
  await operator.apply({
    ...document,
    spec: { ...document.spec, rounds: 1, minSites: 1, evaluation: { metrics: [] } },
  });
  await eventually('training', () => site.trainer.trainings > 0 || undefined);
  await federation.coordinator.stop('SIGKILL');
  await before.stop();
  await rm(target, { recursive: true, force: true });
  const options = { recursive: true, filter: (path: string) => !OF_THE_PROCESS.has(basename(path)) };
  await cp(federation.data, join(target, 'coordinator'), options);
  await cp(site.dataDir, join(target, 'agent'), options);

  await federation.serve();
  const recorder = new SessionRecorder();
  site.dialer = (egress) => recordingDialer(recorder, egress);
  const atMs = Date.now();
  const running = await site.run();
  await eventually('training', () => site.trainer.trainings > 1 || undefined);
  open();
  await operator.event('loans', 'job.completed');
  await eventually('the settlement to be acknowledged', () => {
    const counted = (kind: string): number =>
      recorder.messages.filter((message) => message.kind === kind).length;
    return (
      (counted('order') >= 2 && counted('ack') === counted('order') && counted('heartbeatAck') > 0) ||
      undefined
    );
  });
  const head = { formatVersion: 1, wire: WIRE_VERSIONS[0] ?? '', atMs, agentId, authorKey } as const;
  await writeSession(join(target, 'session.ndjson'), { head, messages: recorder.messages });
  await running.stop();
  operator.close();
  await federation.stop();
  await directory.remove();
}

if (process.argv[1] === import.meta.filename) {
  const target = join(repositoryRoot, 'test/data/sessions', WIRE_VERSIONS[0] ?? '');
  await recordSession(target);
  process.stdout.write(`written: ${target}\n`);
}
