import { readFile } from 'node:fs/promises';

import {
  isJsonObject,
  parseSitePolicy,
  TributaryError,
  type JsonObject,
  type JsonValue,
} from '@tributary/proto';
import { parse, stringify } from 'yaml';

import { AGENT_CHART, chartArchive } from '../chart-archive.js';
import { requireValues } from '../chart-values.js';
import { field, readObject } from '../objects.js';
import type { Session } from '../session.js';
import { createInvitation, type InviteOptions } from './sites.js';

export interface SiteManifestOptions extends Omit<InviteOptions, 'ttl'> {
  /** LIFETIME unless given. */
  readonly ttl?: string;
  /** `tributary-SITE` unless given. Any other one is somebody else's: it has to be there, and is left as it is. */
  readonly namespace?: string;
  /** Files: the site's policy, and values of the chart. */
  readonly policy?: string;
  readonly values?: string;
  /** Secret of the site's own Mosquitto, which is run then. */
  readonly broker?: string;
  readonly chart?: string;
  /** For a site that has joined: nobody is invited, and no token printed. */
  readonly upgrade?: boolean;
}

/** Helm takes 53 characters for a release, of which the prefix has ten; Kubernetes takes no dots in some names made of it. */
const SITE = /^[a-z0-9]([a-z0-9-]{0,41}[a-z0-9])?$/;
/** Names of namespaces (RFC 1123 labels); those of Kubernetes itself begin with kube-. */
const NAMESPACE = /^(?!kube-)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** How long a token is good for where nothing else is asked. */
const LIFETIME = '24h';
const SECRET = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/**
 * Prints one file for K3s's manifests folder: namespace, join token, policy, and a HelmChart that holds the chart itself, so
 * that the site fetches nothing but images. It holds the token: whoever has the file can join as the site. The one of an
 * upgrade holds none. Rejects with USAGE naming the option, and with NOT_FOUND or CONFLICT where an upgrade is asked for a site
 * that never came.
 */
export async function siteManifest(
  session: Session,
  site: string,
  options: SiteManifestOptions,
): Promise<void> {
  const names = namesOf(site, options);
  // Everything that may be refused comes before the invitation, which is in the ledger for good.
  const policy = options.policy === undefined ? undefined : await policyText(options.policy);
  const given = options.values === undefined ? {} : await valuesOf(options.values);
  const chart = options.chart ?? AGENT_CHART;
  const archive = await chartArchive(chart);
  const values = { ...given, ...ownValues(names, options, given) };
  await requireValues(chart, values);
  if (options.upgrade) await requireJoined(session, site, options);
  const invitation = options.upgrade
    ? undefined
    : await createInvitation(session, site, { ...options, ttl: options.ttl ?? LIFETIME });
  const objects = objectsOf({ site, token: invitation?.token, policy, archive, values }, names);
  session.terminal.out(objects.map(yamlText).join('---\n').trimEnd());
  const file = `${names.release}.yaml`;
  const until = invitation === undefined ? '' : `The token in it is valid until ${invitation.expiresAt}. `;
  session.terminal.note(`${until}Kept as ${file}, at the site, as root:`);
  session.terminal.note(`  install -m 0600 ${file} /var/lib/rancher/k3s/server/manifests/${file}`);
  if (!names.ownsNamespace)
    session.terminal.note(`The namespace ${names.namespace} is not in it, and has to be there before.`);
  if (invitation !== undefined && !options.approve)
    session.terminal.note(`Then here: tributary approve ${site}`);
}

/** What an invitation says, and an upgrade cannot. */
function requireNoInvitation({ label, ttl, approve }: SiteManifestOptions): void {
  const given = [
    ...(label.length > 0 ? ['--label'] : []),
    ...(ttl === undefined ? [] : ['--ttl']),
    ...(approve ? ['--approve'] : []),
  ];
  if (given.length > 0)
    throw new TributaryError(
      'USAGE',
      `--upgrade invites nobody, and so takes no ${given.join(' and no ')}; leave out the one or the other`,
    );
}

/** Whoever never joined waits for a token, and the file of an upgrade has none. */
async function requireJoined(
  session: Session,
  site: string,
  { serving }: SiteManifestOptions,
): Promise<void> {
  const admin = await session.admin();
  const { document } = readObject(await admin.unary('GetObject', { kind: 'Site', name: site }));
  const joined = field(document, 'status', serving ? 'replicas' : 'trainers', 'joined');
  if (typeof joined === 'number' && joined > 0) return;
  throw new TributaryError(
    'CONFLICT',
    `--upgrade: no ${serving ? 'replica' : 'agent'} of site ${site} has joined, or all were revoked`,
    { hint: 'leave out --upgrade: the file then holds a token to join with' },
  );
}

/** Names of objects. No two sites share one, nor an agent and a replica of one site, and none is one of K3s's own. */
interface Names {
  /** Of the HelmChart, and so of the release and of what it makes. */
  readonly release: string;
  readonly namespace: string;
  /** Only then is the namespace in the file, with its Pod Security: other workloads of another one may need what that refuses. */
  readonly ownsNamespace: boolean;
  /** A dot, which no release has, keeps them apart from what releases make. */
  readonly token: string;
  readonly policy: string;
}

function namesOf(site: string, options: SiteManifestOptions): Names {
  if (options.upgrade) requireNoInvitation(options);
  const { serving, namespace, broker } = options;
  if (!SITE.test(site))
    throw new TributaryError(
      'USAGE',
      `${site}: names of sites on a cluster have a-z 0-9 -, begin and end with one of a-z 0-9, and have at most 43`,
    );
  const own = `tributary-${site}`;
  const chosen = namespace ?? own;
  if (!NAMESPACE.test(chosen))
    throw new TributaryError(
      'USAGE',
      `--namespace: ${chosen}: a-z 0-9 - and at most 63, not one of Kubernetes`,
    );
  if (broker !== undefined && !SECRET.test(broker))
    throw new TributaryError('USAGE', `--broker: ${broker} is no name of a Secret`);
  const release = `${serving ? 'replica' : 'tributary'}-${site}`;
  return {
    release,
    namespace: chosen,
    ownsNamespace: chosen === own,
    token: `${release}.join-token`,
    policy: `${release}.policy`,
  };
}

/** What the command decides, over the values that were given. */
const ownValues = (
  names: Names,
  { policy, broker, serving }: SiteManifestOptions,
  given: JsonObject,
): JsonObject => ({
  fullnameOverride: names.release,
  mode: serving ? 'Serve' : 'Train',
  joinToken: { existingSecret: names.token, key: 'token' },
  ...(policy !== undefined && { policy: { existingConfigMap: names.policy, key: 'site-policy.yaml' } }),
  ...(broker !== undefined && {
    broker: { ...(isJsonObject(given['broker']) && given['broker']), enabled: true, existingSecret: broker },
  }),
});

interface Parts {
  readonly site: string;
  readonly token: string | undefined;
  readonly policy: string | undefined;
  readonly archive: Buffer;
  readonly values: JsonObject;
}

function objectsOf(
  { site, token, policy, archive, values }: Parts,
  { release, namespace, ownsNamespace, ...names }: Names,
): readonly object[] {
  const labels = { 'app.kubernetes.io/part-of': 'tributary', 'tributary.dev/site': site };
  const named = (name: string): object => ({ name, namespace, labels });
  const enforced = { ...labels, 'pod-security.kubernetes.io/enforce': 'restricted' };
  return [
    ...(ownsNamespace
      ? [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: enforced } }]
      : []),
    ...(token === undefined
      ? []
      : [
          {
            ...{ apiVersion: 'v1', kind: 'Secret', metadata: named(names.token), type: 'Opaque' },
            stringData: { token },
          },
        ]),
    ...(policy === undefined
      ? []
      : [
          {
            ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: named(names.policy) },
            data: { 'site-policy.yaml': policy },
          },
        ]),
    {
      apiVersion: 'helm.cattle.io/v1',
      kind: 'HelmChart',
      // The controller of K3s looks there, and installs into the namespace of the site.
      metadata: { name: release, namespace: 'kube-system', labels },
      spec: {
        chartContent: archive.toString('base64'),
        targetNamespace: namespace,
        valuesContent: yamlText(values),
      },
    },
  ];
}

/** Kubernetes and helm read YAML 1.1, in which `no` is no word: quoted where it is one. */
const yamlText = (value: object): string => stringify(value, { lineWidth: 0, compat: 'yaml-1.1' });

/** The text as it is: its comments are for the people of the site. */
async function policyText(path: string): Promise<string> {
  const text = await readText('--policy', path);
  parseSitePolicy(yamlOf('--policy', path, text));
  return text;
}

async function valuesOf(path: string): Promise<JsonObject> {
  const value = yamlOf('--values', path, await readText('--values', path));
  if (isJsonObject(value)) return value;
  // Nothing but comments.
  if (value === null) return {};
  throw new TributaryError('USAGE', `--values: ${path} holds no values of the chart`);
}

function yamlOf(option: string, path: string, text: string): JsonValue {
  try {
    return parse(text, { maxAliasCount: 0 }) as JsonValue;
  } catch (cause) {
    throw new TributaryError('USAGE', `${option}: ${path} is not YAML`, { cause });
  }
}

async function readText(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const fault = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    throw new TributaryError('USAGE', `${option}: ${path} cannot be read (${fault})`, {
      cause,
      hint: 'Name a YAML file that exists and that you may read.',
    });
  }
}
