import { rm } from 'node:fs/promises';

import { decodeJoinToken, digestOf, LIMITS, TributaryError, type JoinToken } from '@tributary/proto';

import { temporaryFolder } from '../../adapters/files/temporary-folder.js';
import { systemClock } from '../../adapters/system/clock.js';
import type { EnrolmentRecord } from '../../app/enrolment-record.js';
import type { AgentConfig } from '../../config.js';
import { parseAddress, type Address } from '../../domain/address.js';
import { clockLine } from '../../domain/site-check/clock.js';
import {
  checkLines,
  failedLine,
  isFailed,
  noteLine,
  okLine,
  skippedLine,
  type CheckLine,
} from '../../domain/site-check/check-line.js';
import { createDialer, withPassword } from '../coordinator-dialer.js';
import { policedDatasets } from '../dataset-handles.js';
import { readPipelines } from '../pipeline-files.js';
import { bounded, faultLine, type Looked } from './bounded-look.js';
import { brokerCheck } from './broker-check.js';
import { memberCheck, tokenCheck } from './coordinator-check.js';
import { bundleCheck, datasetCheck, policyCheck, trainerCheck } from './data-check.js';
import { identityCheck, tokenLine } from './identity-check.js';
import {
  authorityOf,
  endpointCheck,
  nameChecks,
  proxyCheck,
  proxyFor,
  tunnelCheck,
  type Endpoint,
  type EndpointLook,
  type WayOut,
} from './network-check.js';
import { sealKeyCheck, volumeCheck } from './volume-check.js';

export interface SiteCheckInput {
  /** agent.yaml; rejects where it cannot be used. */
  readonly config: () => AgentConfig;
  /** The join token, where one was given; rejects where its file cannot be read. */
  readonly token: () => Promise<string | undefined>;
  /** Fleet address of the coordinator, for a site that has not joined. */
  readonly fleet: string | undefined;
  /** Files with the authorities that this machine trusts; one that is missing holds none. */
  readonly trustStores: readonly string[];
}

export interface SiteCheck {
  readonly ok: boolean;
  readonly lines: readonly CheckLine[];
  /** Something is still at work that nobody waits for. */
  readonly late: boolean;
}

/** Looks at everything that a site needs, and changes nothing. Never rejects: what goes wrong is a line. */
export async function checkSite(input: SiteCheckInput): Promise<SiteCheck> {
  let config: AgentConfig;
  try {
    config = input.config();
  } catch (error) {
    return summary([{ lines: [faultLine('agent.yaml', error)], late: false }]);
  }
  const parts = await Promise.all([
    bounded('volume', () => volumeCheck(config)),
    bounded('seal-key', () => sealKeyCheck(config)),
    looked('coordinator', coordinatorChecks(config, input)),
    bounded('policy', () => policyCheck(config)),
    looked('datasets', datasetChecks(config)),
    looked('pipelines', streamChecks(config)),
    bounded('gpu', (signal) => trainerCheck(config, signal), stillTrying),
  ]);
  return summary([{ lines: [okLine('agent.yaml', 'every field is known')], late: false }, ...parts.flat()]);
}

/** What failed on the way to the coordinator that `token` names, as `check` prints it; empty where nothing did. */
export async function failedWay(
  config: AgentConfig,
  token: string,
  trustStores: readonly string[],
): Promise<string> {
  const input = { token: () => Promise.resolve(token), fleet: undefined, trustStores };
  const looks = await looked('coordinator', coordinatorChecks(config, input));
  const failed = summary(looks).lines.filter(isFailed);
  return failed.length === 0 ? '' : checkLines(failed);
}

/** As it is printed. */
export function siteCheckText({ ok, lines }: SiteCheck, json: boolean): string {
  if (json) return `${JSON.stringify({ formatVersion: 1, ok, checks: lines }, null, 2)}\n`;
  const failed = lines.filter(isFailed).length;
  const end = ok ? 'The site is ready.' : `${String(failed)} of ${String(lines.length)} checks failed.`;
  return `${checkLines(lines)}${end}\n`;
}

function summary(looks: readonly Looked[]): SiteCheck {
  const lines = looks.flatMap((look) => look.lines);
  return { lines, ok: !lines.some(isFailed), late: looks.some(({ late }) => late) };
}

/** Looks of which one, or what prepares them, may reject with what nobody foresaw. */
const looked = (check: string, looks: Promise<readonly Looked[]>): Promise<readonly Looked[]> =>
  looks.catch((error: unknown) => [{ lines: [faultLine(check, error)], late: false }]);

const stillTrying = (): CheckLine =>
  noteLine(
    'gpu',
    'the backends are still being tried',
    'see `tributary-agent backends`, which waits for them',
  );

/** What the reader of datasets writes goes to a folder of this look alone. */
async function datasetChecks(config: AgentConfig): Promise<readonly Looked[]> {
  if (config.datasets.length === 0) return [];
  const dataDir = await temporaryFolder();
  try {
    const own = { ...config, dataDir };
    // A policy that cannot be read has a line of its own; the files are looked at all the same.
    const { datasets } = await policedDatasets(own).catch(() =>
      policedDatasets({ ...own, policyPath: undefined }),
    );
    const looks = datasets.map((dataset) =>
      bounded(`dataset/${dataset.handle.name}`, (signal) => datasetCheck(dataset, signal)),
    );
    return await Promise.all(looks);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function streamChecks(config: AgentConfig): Promise<readonly Looked[]> {
  if (config.pipelines.length + config.brokers.length === 0) return [];
  let failure: CheckLine | undefined;
  const pipelines = await readPipelines(config).catch((error: unknown) => {
    failure = faultLine('pipelines', error);
    return [];
  });
  const read = failure ?? okLine('pipelines', `${String(pipelines.length)} can be used`);
  const brokers = config.brokers.map((broker) =>
    bounded(`broker/${broker.name}`, (signal) => brokerCheck(broker, pipelines, signal)),
  );
  return [{ lines: [read], late: false }, ...(await Promise.all(brokers))];
}

/** Who the site is or is going to be, and the way to its coordinator. */
async function coordinatorChecks(
  config: AgentConfig,
  input: Omit<SiteCheckInput, 'config'>,
): Promise<readonly Looked[]> {
  const now = (): number => systemClock.now();
  const { line, authorities, bundle } = await bundleCheck(config, now());
  const known: Known = {};
  const looks = [
    { lines: [line], late: false },
    await bounded('identity', async () => {
      const { lines, record } = await identityCheck(config, now());
      if (record !== undefined) known.record = record;
      return lines;
    }),
    await bounded('token', async () => {
      const text = await input.token();
      if (text === undefined) return [];
      const token = decodeJoinToken(text);
      // One that was used for this very enrolment says nothing new.
      if (token.tokenId !== known.record?.tokenId) known.token = token;
      return tokenLine(token);
    }),
  ];
  const target = targetOf(known, input.fleet);
  if (target === undefined) return [...looks, { lines: [NOWHERE], late: false }];
  const proxy = (): ReturnType<WayOut['proxy']> => withPassword(config.proxy);
  const noProxy = config.proxy?.noProxy ?? [];
  const { tunnel: address } = config;
  const tunnel = address && { address, bundle };
  const { trustStores } = input;
  const way = { proxy, noProxy, authorities, trustStores, tunnel, caDigest: target.caDigest, now };
  return [...looks, ...(await wayChecks(config, way, target, known))];
}

const NOWHERE = failedLine(
  'coordinator',
  'not joined, and no usable token: nothing says where the coordinator is',
  'pass --token-file with what `tributary invite` printed',
);

/** A token that was given goes before the enrolment that it may replace. */
interface Known {
  record?: EnrolmentRecord;
  token?: JoinToken;
}

interface Target {
  readonly caDigest: string;
  readonly endpoints: readonly Endpoint[];
}

function targetOf({ record, token }: Known, fleet: string | undefined): Target | undefined {
  if (token !== undefined) {
    const named: readonly Endpoint[] = fleet === undefined ? [] : [{ name: 'fleet', address: fleet }];
    return {
      caDigest: token.caDigest,
      endpoints: [{ name: 'enrol', address: token.enrolAddress }, ...named],
    };
  }
  if (record === undefined) return undefined;
  const endpoints: readonly Endpoint[] = [
    { name: 'enrol', address: record.enrolAddress },
    { name: 'fleet', address: record.fleetAddress },
  ];
  return { caDigest: digestOf(record.authority), endpoints };
}

async function wayChecks(
  config: AgentConfig,
  way: WayOut,
  { endpoints }: Target,
  known: Known,
): Promise<readonly Looked[]> {
  const { tunnel } = way;
  const targets = tunnel === undefined ? endpoints.flatMap(wellFormed) : [tunnel.address];
  let proxies: Awaited<ReturnType<typeof proxyFor>>[];
  try {
    proxies = await Promise.all(targets.map((target) => proxyFor(target, way)));
  } catch (error) {
    const unused = faultLine('proxy', error, 'correct proxy.passwordFile in agent.yaml, or make the file');
    return [{ lines: [unused, skippedLine('coordinator', 'not asked: it was not reached')], late: false }];
  }
  const direct = targets.filter((_, index) => proxies[index] === undefined);
  const proxy = proxies.find((one) => one !== undefined);
  const [names, gate, outside, ...looks] = await Promise.all([
    nameChecks([...direct, ...(proxy === undefined ? [] : [proxy])].map(({ host }) => host)),
    proxy === undefined ? undefined : proxyCheck(proxy),
    tunnel === undefined ? undefined : tunnelCheck(tunnel, way),
    ...endpoints.map((endpoint) => endpointCheck(endpoint, way)),
  ]);
  const seen = looks.flatMap(({ look }) => look ?? []);
  const reading = seen.find((look) => look.reading !== undefined)?.reading;
  const clock = clockLine(reading, (seen[0] ?? outside?.look)?.validity, way.now());
  const member = await bounded('coordinator', () => coordinatorCheck(config, way, looks, known), slowWay);
  return [
    ...names,
    ...(gate ? [gate] : []),
    ...(outside ? [outside] : []),
    ...looks,
    { lines: [clock], late: false },
    member,
  ];
}

const slowWay = (): CheckLine =>
  failedLine(
    'coordinator',
    `no answer within ${String(LIMITS.siteCheckMs / 1_000)} s`,
    'where the lines above are ok the proxy, or the way, is slow: see how long they take; the agent itself waits longer',
  );

/** What cannot be read as an address has a line at its endpoint. */
function wellFormed({ address, name }: Endpoint): readonly Address[] {
  try {
    return [parseAddress(address, name)];
  } catch {
    return [];
  }
}

/** Whether the coordinator would take this site; asked only where nobody but the coordinator can be meant. */
async function coordinatorCheck(
  config: AgentConfig,
  way: WayOut,
  looks: readonly EndpointLook[],
  { record, token }: Known,
): Promise<CheckLine> {
  const look = looks[token === undefined ? 1 : 0]?.look;
  if (look === undefined) return skippedLine('coordinator', 'not asked: it was not reached');
  const authority = authorityOf(look, way);
  if (authority === undefined)
    return skippedLine('coordinator', 'not asked: somebody else answers in its place');
  // The data directory may be a running agent's.
  const dataDir = await temporaryFolder();
  try {
    const dialer = await createDialer(
      { ...config, dataDir },
      { count: () => undefined },
      { watch: () => undefined },
    );
    if (token !== undefined) return await tokenCheck(dialer, token, authority);
    if (record === undefined)
      throw new TributaryError('INTERNAL', 'an address without a token or an enrolment');
    return await memberCheck(dialer, record);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
